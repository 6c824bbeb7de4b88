/**
 * What keeps an old CPU from an illegal instruction: wide instructions live in the per-ISA objects alone, and those
 * objects share no symbol with anybody (a weak library symbol compiled with AVX-512 could be handed to every caller).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..');
const objects = join(root, 'build/Release/obj.target');
const addon = join(root, 'build/Release/softlane.node');

function tool(name: string, args: string[]): string {
  return execFileSync(name, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

function objectsOf(target: string): string[] {
  const files = readdirSync(join(objects, target), { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.o')).map((file) => join(objects, target, file));
}

/** Why the objects cannot be looked at, or nothing. A package installed from its prebuilt binary has none. */
function obstacle(): string | undefined {
  for (const name of ['nm', 'objdump']) {
    try {
      tool(name, ['--version']);
    } catch {
      return `${name} is not installed`;
    }
  }
  for (const target of ['softlane', 'softlane_scalar', 'softlane_avx2', 'softlane_avx512']) {
    if (!existsSync(join(objects, target))) return `build/Release/obj.target/${target} does not exist`;
  }
  if (!existsSync(addon)) return 'build/Release/softlane.node does not exist';
  return undefined;
}

interface NativeSymbol {
  /** As the linker sees it: demangling gives up on the deepest lambdas. */
  name: string;
  /** nm's letter: U undefined, lower case local, W and V weak. */
  type: string;
}

function symbolsOf(files: string[]): NativeSymbol[] {
  return tool('nm', files)
    .split('\n')
    .map((line) => /^(?:[0-9a-f]+| *) ([A-Za-z]) (.+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, type, name]) => ({ name, type }));
}

/** Whether a mangled name is one of softlane::ISA, or of a function or lambda inside one. */
function isOf(isa: string, name: string): boolean {
  return new RegExp(`^_Z+NK?8softlane${isa.length}${isa}`).test(name);
}

/** Disassembled instructions that only a CPU with AVX (or BMI, coded alike) runs, as "function: instruction". */
function wideInstructions(file: string): string[] {
  const found: string[] = [];
  let inside = '';
  for (const line of tool('objdump', ['-d', '--no-show-raw-insn', file]).split('\n')) {
    const label = /^[0-9a-f]+ <(.*)>:$/.exec(line);
    if (label) inside = label[1];
    const instruction = /^\s+[0-9a-f]+:\s+(.*)$/.exec(line)?.[1];
    if (instruction !== undefined && isWide(instruction)) found.push(`${inside}: ${instruction}`);
  }
  return found;
}

function isWide(instruction: string): boolean {
  if (/%[yz]mm\d|%k[0-7]\b/.test(instruction)) return true;
  if (/^v[a-z0-9]+\s.*%xmm/.test(instruction) || /^vzero(upper|all)/.test(instruction)) return true;
  return /^(andn|bextr|bls[irm]|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx)[lq]?\s/.test(instruction);
}

const reason = obstacle();
if (reason) console.warn(`no look at the compiled objects: ${reason}`);
const look = reason ? describe.skip : describe;

look('no illegal instruction on a CPU without AVX', () => {
  test.each(['avx2', 'avx512'])('the objects of %s define symbols of their own namespace only', (isa) => {
    const defined = symbolsOf(objectsOf(`softlane_${isa}`)).filter(
      ({ type }) => type !== 'U' && type !== 'w',
    );
    expect(defined.filter(({ type }) => type === 'T').length).toBeGreaterThan(15);
    // Constants of one object, such as .LC7, are not linked to.
    const foreign = defined.filter(
      ({ name, type }) => !isOf(isa, name) && !(type === 'r' && !name.startsWith('_Z')),
    );
    expect(foreign).toEqual([]);
  });

  test.each(['avx2', 'avx512'])('the objects of %s call nothing but the C library', (isa) => {
    const needed = symbolsOf(objectsOf(`softlane_${isa}`)).filter(({ type }) => type === 'U' || type === 'w');
    const allowed =
      /^(_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|mem(cpy|move|set|cmp)|(exp|log|log1p|pow|tanh|erfc|fma|ldexp|frexp)f?)$/;
    expect(needed.filter(({ name }) => !allowed.test(name) && !isOf(isa, name))).toEqual([]);
  });

  test('the pattern knows wide instructions from others', () => {
    const wide = [
      'vaddps %xmm0,%xmm1,%xmm2',
      'vzeroupper',
      'kmovw %eax,%k1',
      'vmovups (%rax),%zmm0',
      'shlx %eax,%ebx,%ecx',
    ];
    expect(wide.filter((each) => !isWide(each))).toEqual([]);
    const narrow = ['addps %xmm0,%xmm1', 'verw %ax', 'xgetbv', 'shl %eax', 'call <vec>', 'mulsd %xmm1,%xmm0'];
    expect(narrow.filter(isWide)).toEqual([]);
    const avx2 = objectsOf('softlane_avx2').find((file) => file.endsWith('softmax_pairs.o'));
    expect(wideInstructions(avx2!).length).toBeGreaterThan(100);
  });

  test('no illegal instruction: nothing outside the per-ISA objects uses AVX', () => {
    const common = [...objectsOf('softlane'), ...objectsOf('softlane_scalar')];
    expect(common.length).toBeGreaterThan(5);
    expect(common.flatMap(wideInstructions)).toEqual([]);
  });

  test('no illegal instruction: in the linked addon only avx2 and avx512 functions use AVX', () => {
    const wide = wideInstructions(addon);
    expect(wide.length).toBeGreaterThan(1000);
    expect(wide.filter((each) => !isOf('avx2', each) && !isOf('avx512', each))).toEqual([]);
  });
});
