import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { embeddedModelPath } from '../../lib/llm/index.js';
import { MambaModel } from '../../lib/sequence/index.js';
import { mambaTensorsOf, sizesOf, SMALL_MAMBA, writeMamba } from '../helpers/mamba-checkpoint.js';
import { printed, refused } from './elastic.js';
import { softlane } from './run.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-generate-mamba-'));
  // The tokenizer of the model that comes with the package: a token is a byte.
  await cp(join(embeddedModelPath(), 'tokenizer.json'), join(folder, 'tokenizer.json'));
  await writeMamba(folder, { ...SMALL_MAMBA, vocab_size: 256 }, mambaTensorsOf(sizesOf({ rows: 256 })));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const PROMPT = 'In the beginning';

describe('softlane generate with a Mamba model', () => {
  it('writes the tokens of the library', async () => {
    const flags = ['--max-tokens', '12', '--seed', '3', '--n', '2', '--json'];
    const lines = (await printed('generate', folder, '--prompt', PROMPT, ...flags)).trimEnd().split('\n');
    const model = await MambaModel.load(folder);
    for (const [stream, line] of lines.entries()) {
      const expected: number[] = [];
      for await (const { token } of model.generate(Buffer.from(PROMPT), { maxTokens: 12, seed: 3, stream }))
        expected.push(token);
      const { index, tokens, finishReason } = JSON.parse(line) as Record<string, unknown>;
      expect({ index, tokens, finishReason }).toEqual({
        index: stream,
        tokens: expected,
        finishReason: 'length',
      });
    }
    expect(lines).toHaveLength(2);
  });

  it('counts its passes and names its threads', async () => {
    const args = ['generate', folder, '--prompt', PROMPT, '--max-tokens', '5', '--seed', '1', '--stats'];
    const { stderr } = await softlane([...args, '--threads', '2']);
    expect(stderr).toMatch(/2 threads, 5 forward passes, seed 1/);
    expect(stderr).toMatch(/ended {4}length$/m);
  });

  it('refuses a checkpoint that lacks a tensor, by name', async () => {
    const broken = await mkdtemp(join(tmpdir(), 'softlane-generate-mamba-'));
    try {
      await cp(join(folder, 'tokenizer.json'), join(broken, 'tokenizer.json'));
      const tensors = mambaTensorsOf(sizesOf({ rows: 256 }));
      delete tensors['backbone.norm_f.weight'];
      await writeMamba(broken, { ...SMALL_MAMBA, vocab_size: 256 }, tensors);
      expect(await refused(1, 'generate', broken, '--prompt', '!')).toContain('backbone.norm_f.weight');
    } finally {
      await rm(broken, { recursive: true, force: true });
    }
  });
});
