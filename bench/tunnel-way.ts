import { readFile } from 'node:fs/promises';

import { readCpuSeconds } from './server.ts';

/** One way from a caller to the origin that is measured. */
export interface TunnelWay {
  readonly name: string;
  /** What stands before the path of the origin, without a slash at its end. */
  readonly url: string;
  /** `Name: value`, one item each. */
  readonly fields: readonly string[];
  /** The processes of the end that callers see; with their children. */
  readonly cloudPids: readonly number[];
  /** The same of the end beside the origin. */
  readonly insidePids: readonly number[];
  stop(): Promise<void>;
}

async function listTree(pid: number): Promise<number[]> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1')).split(' ').filter(Boolean).map(Number); // prettier-ignore
  return [pid, ...(await Promise.all(children.map(listTree))).flat()];
}

/** The processor time of processes with all that they have started and that still runs, in seconds. */
export async function readTreeCpuSeconds(pids: readonly number[]): Promise<number> {
  const all = (await Promise.all(pids.map(listTree))).flat();
  const times = await Promise.all(all.map(readCpuSeconds));
  return times.reduce((sum, time) => sum + time, 0);
}
