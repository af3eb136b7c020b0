import { rm } from 'node:fs/promises';

import { toPidPath } from '../cluster/pid-file.ts';
import { findAgent } from './agent-process.ts';
import { CONTROL_POLL_MS } from './start-agent-process.ts';

/** How long an agent may take to finish the requests that it has, in milliseconds. Then it is ended. */
export const STOP_TIMEOUT_MS = 40_000;

export interface StopDeps {
  /** The installation folder. */
  readonly folder: string;
  /** Resolves after so many milliseconds. */
  readonly wait: (ms: number) => Promise<void>;
  readonly timeoutMs?: number;
}

/** How a stop went: `killed` where the agent did not end by itself. */
export interface StopResult {
  readonly outcome: 'stopped' | 'killed' | 'not running';
}

/** Asks the agent to end, waits until it has, and ends it where it does not. On Windows it is ended at once. */
export async function stopAgentProcess({ folder, wait, timeoutMs = STOP_TIMEOUT_MS }: StopDeps): Promise<StopResult> {
  const agent = await findAgent(folder);
  let outcome: StopResult['outcome'] = 'not running';
  if (agent.state === 'running') {
    outcome = 'stopped';
    send(agent.pid, 'SIGTERM');
    // By its id: the agent removes its pid file before it has ended.
    for (let waitedMs = 0; send(agent.pid, 0); waitedMs += CONTROL_POLL_MS) {
      if (waitedMs >= timeoutMs && outcome === 'stopped') {
        outcome = 'killed';
        send(agent.pid, 'SIGKILL');
      }
      await wait(CONTROL_POLL_MS);
    }
  }
  await rm(toPidPath(folder), { force: true });
  return { outcome };
}

/** @returns whether there was such a process */
function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    // A process of another user is a failure.
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}
