import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';

import { type Child, startChild, waitUntilReady } from '../test/support/child.ts';
import { getFreePort } from '../test/support/processes.ts';
import { CORES } from './load.ts';

const HOST = '127.0.0.1';
const READY_TIMEOUT_MS = 30_000;

/** A server to start: a script of this build or of `dist/`, and what it is told about its port. */
export interface ServerPlan {
  readonly script: string;
  /** Options for Node itself. */
  readonly nodeArgs?: readonly string[];
  readonly toArgs: (port: number) => readonly string[];
  readonly toEnvironment?: (port: number) => Readonly<Record<string, string>>;
  /** A core, or several as `taskset` takes them; the server's core where it is left out. */
  readonly core?: string;
}

/** Limits by address, out of reach: they are counted, and never met. */
export const NO_LIMIT = { COUNTERSIGN_RATE_LIMIT_PER_MINUTE: '1000000000' };

/** A server that runs on its core. */
export interface BenchServer {
  readonly url: string;
  readonly child: Child;
}

/** Whether somebody takes connections on a loopback port. */
export function isListening(port: number): Promise<boolean> {
  const socket = connect({ host: HOST, port });
  return new Promise((done) => {
    const settle = (isThere: boolean): void => {
      socket.destroy();
      done(isThere);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}

/** Starts a server on the server's core, its output in a file of `folder`, and waits until it answers. */
export async function startPinned(plan: ServerPlan, folder: string): Promise<BenchServer> {
  const port = await getFreePort();
  const url = `http://${HOST}:${port}`;
  const pinned = ['taskset', '-c', plan.core ?? String(CORES.server), process.execPath];
  const program = [...(plan.nodeArgs ?? []), plan.script, ...plan.toArgs(port)];
  const child = await startChild({
    command: 'sh',
    args: ['-c', 'log=$1; shift; exec "$@" > "$log"', 'sh', join(folder, `${port}.log`), ...pinned, ...program],
    cwd: folder,
    ...(plan.toEnvironment && { env: { COUNTERSIGN_HOST: HOST, ...plan.toEnvironment(port) } }),
  });
  await waitUntilReady(child, () => isListening(port), READY_TIMEOUT_MS);
  return { url, child };
}

/** The kernel's unit of processor time on Linux, in seconds. */
const TICK_SECONDS = 0.01;

/** The processor time that a process has used, all its threads together, in seconds (proc(5), fields 14 and 15). */
export async function readCpuSeconds(pid: number): Promise<number> {
  const line = await readFile(`/proc/${pid}/stat`, 'latin1');
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_SECONDS;
}

/** The memory of a process that is in the machine's RAM, in bytes (proc(5), `VmRSS`). */
export async function readMemoryBytes(pid: number): Promise<number> {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'latin1'))?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has no memory`);
  return Number(kilobytes) * 1024;
}

/** Moves a running process, all its threads, to a core, or to several as `taskset` takes them. */
export async function pinProcess(pid: number, core: number | string): Promise<void> {
  const child = await startChild({ command: 'taskset', args: ['-a', '-c', '-p', String(core), String(pid)], cwd: '/' });
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`process ${pid} cannot be moved to core ${core}: ${child.stderr()}`);
}
