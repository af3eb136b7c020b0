import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { createTempFolder } from './processes.ts';

/** What curl got. */
export interface CurlAnswer {
  /** curl's own exit code: 0, 18 for a body that was cut, 52 for no answer, 56 for a connection that broke. */
  readonly code: number;
  /** Of the last answer, 0 where there was none. */
  readonly status: number;
  /** Of the last answer. Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** The first lines of all answers, informational ones included. */
  readonly statusLines: readonly string[];
  readonly body: string;
}

/** Runs curl to its end. Nothing of the environment is inherited. */
export async function runCurl(...args: readonly string[]): Promise<CurlAnswer> {
  const folder = await createTempFolder();
  const headFile = join(folder, 'head');
  const options = { env: { PATH: '/usr/bin:/bin' }, maxBuffer: 1 << 28 };
  const { code, body } = await new Promise<{ code: number; body: string }>((resolve) => {
    execFile('curl', ['-sS', '--max-time', '60', '-D', headFile, ...args], options, (error, stdout) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), body: stdout }),
    );
  });
  const heads = (await readFile(headFile, 'latin1').catch(() => '')).split('\r\n\r\n').filter((head) => head !== '');
  await rm(folder, { recursive: true });
  const [, ...lines] = heads.at(-1)?.split('\r\n') ?? [];
  const statusLines = heads.map((head) => head.split('\r\n', 1)[0] ?? '');
  const status = Number(/^HTTP\/[\d.]+ (\d+)/.exec(statusLines.at(-1) ?? '')?.[1] ?? 0);
  return { code, status, headers: new Map(lines.map(toPair)), statusLines, body };
}

function toPair(line: string): [string, string] {
  const at = line.indexOf(':');
  return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
}
