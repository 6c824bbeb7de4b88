import { formatBytes } from '../../lib/cli/commands/info.js';
import { softlane } from './run.js';

interface Info {
  version: string;
  isa: string;
  isas: string[];
  threads: number;
  caches: Record<'l1d' | 'l2' | 'l3', number>;
  addon: string;
  memory: { scratchBytes: number; scratchPeakBytes: number; pendingCalls: number };
}

describe('softlane info', () => {
  it('prints an aligned table', async () => {
    const { code, stdout, stderr } = await softlane(['info']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    const names = ['softlane', 'node', 'cpu', 'cores', 'threads', 'instruction set', 'caches', 'addon'];
    expect(lines.map((line) => line.split(/ {2,}/)[0])).toEqual(expect.arrayContaining(names));
    const columns = lines.map((line) => /^(.+?) {2,}\S/.exec(line)![0].length);
    expect(new Set(columns).size).toBe(1);
    expect(stdout).toContain(process.version);
  });

  it('--json prints the same facts for programs', async () => {
    const { code, stdout } = await softlane(['info', '--json']);
    expect(code).toBe(0);
    const info = JSON.parse(stdout) as Info;
    expect(info.isas).toContain(info.isa);
    expect(info.isas).toContain('scalar');
    expect(info.threads).toBeGreaterThanOrEqual(1);
    expect(Object.keys(info.caches).sort()).toEqual(['l1d', 'l2', 'l3']);
    expect(info.memory.pendingCalls).toBe(0);
    expect(info.addon).toMatch(/\.node$/);
  });

  it('follows SOFTLANE_ISA, and refuses an unknown one with one line', async () => {
    const forced = await softlane(['info', '--json'], { env: { SOFTLANE_ISA: 'scalar' } });
    expect((JSON.parse(forced.stdout) as Info).isa).toBe('scalar');
    const { code, stdout, stderr } = await softlane(['info'], { env: { SOFTLANE_ISA: 'sse9' } });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^softlane: .*SOFTLANE_ISA.*scalar.*'sse9'\n$/);
  });
});

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [49152, '48 KiB'],
    [1572864, '1.5 MiB'],
    [2 ** 35, '32 GiB'],
  ])('%s is %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});
