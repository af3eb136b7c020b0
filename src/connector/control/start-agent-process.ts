import { spawn } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { RUN_FOLDER } from '../cluster/pid-file.ts';
import { type AgentStatus, readStatus, toStatusPath } from '../cluster/status-file.ts';
import { findAgent, readIfThere } from './agent-process.ts';

/** How long an agent may take until its workers run, in milliseconds. */
export const START_TIMEOUT_MS = 30_000;
/** How often it is looked whether it has, in milliseconds. */
export const CONTROL_POLL_MS = 50;
/** Of what an agent printed before it failed, so many characters are shown. */
export const MAX_REASON_CHARACTERS = 8_192;

/** What the agent prints outside of its logs: why it did not start. Overwritten by each start. */
const OUTPUT_FILE = join(RUN_FOLDER, 'kore-connector.out');

export interface StartDeps {
  /** The installation folder. */
  readonly folder: string;
  /** The program and its words that run the agent in the foreground. */
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Resolves after so many milliseconds. */
  readonly wait: (ms: number) => Promise<void>;
  readonly timeoutMs?: number;
}

/** How a start went. `reason` is what the agent said itself; `slow` is one that has said nothing yet. */
export type StartResult =
  | { readonly outcome: 'started' | 'already' | 'slow'; readonly pid: number }
  | { readonly outcome: 'failed'; readonly reason: string };

/** Starts the agent in a session of its own and waits until it says that its workers run. */
export async function startAgentProcess(deps: StartDeps): Promise<StartResult> {
  const { folder, wait, timeoutMs = START_TIMEOUT_MS } = deps;
  const found = await findAgent(folder);
  if (found.state === 'running') return { outcome: 'already', pid: found.pid };
  await mkdir(join(folder, RUN_FOLDER), { recursive: true, mode: 0o750 });
  // What an agent said that has ended is not taken for what this one says.
  await rm(toStatusPath(folder), { force: true });

  const child = await spawnDetached(deps);
  for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += CONTROL_POLL_MS) {
    await wait(CONTROL_POLL_MS);
    const end = child.end();
    const agent = await findAgent(folder);
    if (end !== undefined) {
      // Somebody else started one at the same time, and was first.
      if (agent.state === 'running') return { outcome: 'already', pid: agent.pid };
      const said = (await readIfThere(join(folder, OUTPUT_FILE)))?.trim().slice(-MAX_REASON_CHARACTERS);
      return { outcome: 'failed', reason: said || end };
    }
    const status = agent.state === 'running' ? await readStatus(toStatusPath(folder)) : undefined;
    if (agent.state === 'running' && agent.pid === status?.pid && hasStarted(status)) {
      return { outcome: 'started', pid: agent.pid };
    }
  }
  return { outcome: 'slow', pid: child.pid };
}

/** Whether a worker runs and none is still on its way. One that has ended is started again by the agent. */
function hasStarted({ state, workers }: AgentStatus): boolean {
  const isOnItsWay = workers.some((worker) => worker.state === 'starting');
  return state === 'running' && !isOnItsWay && workers.some((worker) => worker.state === 'running');
}

/** A process that outlives this one, and keeps neither its terminal nor it. */
async function spawnDetached({ folder, command, args, env }: StartDeps): Promise<{
  readonly pid: number;
  /** How it ended, as the rest of a sentence; undefined as long as it runs. */
  end(): string | undefined;
}> {
  const output = await open(join(folder, OUTPUT_FILE), 'w', 0o640);
  let end: string | undefined;
  try {
    const stdio = ['ignore', output.fd, output.fd] as const;
    const child = spawn(command, args, {
      cwd: folder,
      env: { ...env },
      detached: true,
      windowsHide: true,
      stdio: [...stdio],
    });
    child.once('error', (error) => (end = error.message));
    child.once('exit', (code, signal) => (end ??= `it ended with ${signal ?? `exit code ${code}`}`));
    child.unref();
    return { pid: child.pid ?? 0, end: () => end };
  } finally {
    await output.close();
  }
}
