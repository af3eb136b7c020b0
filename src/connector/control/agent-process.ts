import { readFile } from 'node:fs/promises';

import { findRunning, toPidPath } from '../cluster/pid-file.ts';

/** What is known about an agent from outside: `dead` where it left its pid file behind. */
export type AgentProcess =
  | { readonly state: 'running'; readonly pid: number }
  | { readonly state: 'dead' }
  | { readonly state: 'stopped' };

/** @returns the text, undefined where the file is not there */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** @throws where the pid file is there and cannot be read */
export async function findAgent(folder: string): Promise<AgentProcess> {
  const path = toPidPath(folder);
  if ((await readIfThere(path)) === undefined) return { state: 'stopped' };
  const pid = await findRunning(path);
  return pid === undefined ? { state: 'dead' } : { state: 'running', pid };
}
