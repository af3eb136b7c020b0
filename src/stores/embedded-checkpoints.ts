import { Worker } from 'node:worker_threads';

import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { GroupCommit } from './embedded-group-commit.ts';

/** How many frames of the log make a checkpoint due: 16 MB at 4096 bytes a page. */
const DUE_FRAMES = 4_000;
/** Where SQLite makes the checkpoint itself, inside a commit: when the thread cannot. */
const LAST_RESORT_FRAMES = 8 * DUE_FRAMES;
/** How often the log's length is looked at, in milliseconds. */
const LOOK_EVERY_MS = 100;

/**
 * What the thread is asked for. `copy`: what the log holds, beside whoever writes. `restart`: what is left, while nobody writes, so that the
 * next commit begins the log anew.
 */
export type CheckpointStep = 'copy' | 'restart' | 'close';

export interface CheckpointsDeps {
  readonly path: string;
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
}

/**
 * Checkpoints on a thread that begins with the first one. Under constant load copying alone would never come to the end of the log, which
 * then grows for ever: so the last frames are copied between two groups, and waited for as a sync is.
 */
export function createCheckpoints({ path, db, commits }: CheckpointsDeps): { close(): Promise<void> } {
  db.exec(`PRAGMA wal_autocheckpoint=${LAST_RESORT_FRAMES}`);
  const progress = db.prepare('PRAGMA wal_checkpoint(NOOP)');
  let worker: Worker | undefined;
  let isBusy = false;
  let isEnded = false;

  const start = (): Worker => {
    const started = new Worker(new URL('./embedded-checkpoint-worker.js', import.meta.url), { workerData: path });
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

  const checkpoint = async (): Promise<void> => {
    if (await ask('copy')) await commits.between(async () => void (await ask('restart')));
  };
  const isDue = (): boolean => {
    try {
      const { log, checkpointed } = progress.get() as { log: number; checkpointed: number };
      return log - checkpointed >= DUE_FRAMES;
    } catch {
      // A look that fails is made up for by the next one.
      return false;
    }
  };
  const timer = setInterval(() => {
    if (isBusy || isEnded || !db.isOpen || db.isTransaction || !isDue()) return;
    isBusy = true;
    void checkpoint().finally(() => (isBusy = false));
  }, LOOK_EVERY_MS);
  timer.unref();

  return {
    close: async () => {
      clearInterval(timer);
      if (worker) await ask('close');
      isEnded = true;
    },
  };
}
