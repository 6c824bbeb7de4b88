/**
 * What keeps an old CPU from an illegal instruction: wide instructions live in the per-ISA objects alone, and those
 * objects share no symbol with anybody (a weak library symbol compiled with AVX-512 could be handed to every caller).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..');
const objects = join(root, 'build/Release/obj.target');

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
  return undefined;
}

interface NativeSymbol {
  name: string;
  demangled: string;
  /** nm's letter: U undefined, lower case local, W and V weak. */
  type: string;
}

function symbolsOf(files: string[]): NativeSymbol[] {
  const list = (flags: string[]) =>
    tool('nm', [...flags, ...files])
      .split('\n')
      .map((line) => /^(?:[0-9a-f]+| *) ([A-Za-z]) (.+)$/.exec(line))
      .filter((match) => match !== null);
  const plain = list([]);
  const demangled = list(['-C']);
  expect(demangled).toHaveLength(plain.length);
  return plain.map(([, type, name], i) => ({ name, demangled: demangled[i][2], type }));
}

/** Disassembled instructions that only a CPU with AVX (or BMI, coded alike) runs, as "function: instruction". */
function wideInstructions(file: string): string[] {
  const found: string[] = [];
  let inside = '';
  for (const line of tool('objdump', ['-d', '-C', '--no-show-raw-insn', file]).split('\n')) {
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
    const symbols = symbolsOf(objectsOf(`softlane_${isa}`));
    const defined = symbols.filter(({ type }) => type !== 'U' && type !== 'w');
    expect(defined.filter(({ type }) => type === 'T').length).toBeGreaterThan(15);

    const namespace = `softlane::${isa}::`;
    const foreign = defined.filter(({ demangled, type }) => {
      if (/^[rd]$/.test(type) && !demangled.includes('::')) return false; // constants of this object, not linked
      // A local function may be an instantiation whose return type stands first; one that others see may not.
      return /[a-z]/.test(type) && type !== 'u'
        ? !demangled.includes(namespace)
        : !demangled.startsWith(namespace);
    });
    expect(foreign.map(({ demangled }) => demangled)).toEqual([]);
    const others = ['scalar', 'avx2', 'avx512']
      .filter((each) => each !== isa)
      .map((each) => `softlane::${each}::`);
    expect(symbols.filter(({ demangled }) => others.some((each) => demangled.includes(each)))).toEqual([]);
  });

  test.each(['avx2', 'avx512'])('the objects of %s call nothing but the C library', (isa) => {
    const needed = symbolsOf(objectsOf(`softlane_${isa}`)).filter(({ type }) => type === 'U' || type === 'w');
    const allowed =
      /^(_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|mem(cpy|move|set|cmp)|(exp|log|fma|ldexp|frexp)f?)$/;
    const surprising = needed.filter(
      ({ name, demangled }) => !allowed.test(name) && !demangled.startsWith(`softlane::${isa}::`),
    );
    expect(surprising.map(({ demangled }) => demangled)).toEqual([]);
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
    const addon = join(root, 'build/Release/softlane.node');
    const wide = wideInstructions(addon);
    expect(wide.length).toBeGreaterThan(1000);
    expect(wide.filter((each) => !/softlane::avx(2|512)::/.test(each))).toEqual([]);
  });
});
