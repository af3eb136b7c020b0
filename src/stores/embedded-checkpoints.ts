import { Worker } from 'node:worker_threads';

import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { GroupCommit } from './embedded-group-commit.ts';

/** How many frames of the log make a checkpoint due: 16 MB at 4096 bytes a page. */
const DUE_FRAMES = 4_000;
/** Where SQLite makes the checkpoint itself, inside a commit: when the thread cannot. */
const LAST_RESORT_FRAMES = 8 * DUE_FRAMES;
/** How long a checkpoint that could not be finished, for somebody reads or writes, is not tried again, in milliseconds. */
const PAUSE_MS = 2_000;
/** How often the log's length is looked at, in milliseconds. */
const LOOK_EVERY_MS = 100;

const PROGRAM = new URL('./embedded-checkpoint-worker.js', import.meta.url);

/**
 * What the thread is asked for. `copy`: what the log holds, beside whoever writes. `restart`: what is left, while nobody writes, so that the
 * next commit begins the log anew.
 */
export type CheckpointStep = 'copy' | 'restart' | 'close';

export interface CheckpointsDeps {
  readonly path: string;
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  /** The thread's program, and how many frames make a checkpoint due. */
  readonly program?: URL;
  readonly dueFrames?: number;
}

/**
 * Checkpoints on a thread that begins with the first one. Under constant load copying alone would never come to the end of the log, which
 * then grows for ever: so the last frames are copied between two groups, and waited for as a sync is.
 */
export function createCheckpoints(deps: CheckpointsDeps): { close(): Promise<void> } {
  const { path, db, commits, program = PROGRAM, dueFrames = DUE_FRAMES } = deps;
  db.exec(`PRAGMA wal_autocheckpoint=${LAST_RESORT_FRAMES}`);
  const progress = db.prepare('PRAGMA wal_checkpoint(NOOP)');
  let worker: Worker | undefined;
  let running: Promise<void> | undefined;
  let isEnded = false;
  let pausedUntilMs = 0;

  const start = (): Worker => {
    const started = new Worker(program, { workerData: path });
    started.unref();
    // What it does not do, SQLite does in its own time.
    started.on('error', () => (isEnded = true));
    started.on('exit', () => (isEnded = true));
    return started;
  };
  const ask = (step: CheckpointStep): Promise<boolean> =>
    new Promise((resolve) => {
      if (isEnded) return resolve(false);
      worker ??= start();
      const asked = worker;
      const settle = (isDone: unknown): void => {
        asked.off('message', settle).off('exit', settle);
        asked.unref();
        resolve(isDone === true);
      };
      asked.ref();
      asked.on('message', settle).on('exit', settle);
      asked.postMessage(step, []);
    });

  const checkpoint = async (): Promise<boolean> => {
    let isDone = await ask('copy');
    if (isDone) await commits.between(async () => void (isDone = await ask('restart')));
    return isDone;
  };
  const isDue = (): boolean => {
    try {
      const { log, checkpointed } = progress.get() as { log: number; checkpointed: number };
      return log - checkpointed >= dueFrames;
    } catch {
      // A look that fails is made up for by the next one.
      return false;
    }
  };
  const look = (): void => {
    if (running || isEnded || performance.now() < pausedUntilMs || !db.isOpen || db.isTransaction || !isDue()) return;
    running = checkpoint().then((isDone) => {
      running = undefined;
      if (!isDone) pausedUntilMs = performance.now() + PAUSE_MS;
    });
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  timer.unref();

  return {
    close: async () => {
      clearInterval(timer);
      // One question at a time: an answer that is still to come would be taken for the end of the thread.
      await running;
      if (worker) await ask('close');
      isEnded = true;
    },
  };
}
