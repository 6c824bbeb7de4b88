/** Where the prompt of `softlane generate` comes from. */
import { readFile } from 'node:fs/promises';
import { CliError } from '../errors.js';
import type { Message } from './tokenizer.js';

/** The flags that say it. */
export interface PromptFlags {
  prompt?: string;
  promptFile?: string;
  chat: boolean;
  system?: string;
}

async function readStdin(signal: AbortSignal): Promise<Buffer> {
  if (process.stdin.isTTY)
    throw new CliError('there is no prompt: give --prompt, --prompt-file or text on stdin', 2);
  const stop = (): void => void process.stdin.destroy(signal.reason as Error);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const parts: Buffer[] = [];
    for await (const part of process.stdin) parts.push(part as Buffer);
    return Buffer.concat(parts);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * The prompt: of the command line as it stands, of a file or stdin without the line break at its end.
 *
 * @throws CliError for none, an empty one, or bytes that are not UTF-8; the system's error; the abort reason
 */
export async function readPrompt(flags: PromptFlags, signal: AbortSignal): Promise<string> {
  if (flags.system !== undefined && !flags.chat) throw new CliError('--system goes with --chat', 2);
  if (flags.prompt !== undefined) return notEmpty(flags.prompt, '--prompt');
  const source = flags.promptFile ?? 'stdin';
  const bytes = await (flags.promptFile === undefined
    ? readStdin(signal)
    : readFile(flags.promptFile, { signal }));
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CliError(`${source}: expected text in UTF-8, received other bytes`);
  }
  return notEmpty(text.replace(/\r?\n$/, ''), source);
}

function notEmpty(text: string, source: string): string {
  if (text === '') throw new CliError(`${source}: expected a prompt, received no text`);
  return text;
}

/** The prompt as a conversation that waits for its answer. */
export function messagesOf(prompt: string, system: string | undefined): Message[] {
  const before: Message[] = system === undefined ? [] : [{ role: 'system', content: system }];
  return [...before, { role: 'user', content: prompt }];
}
