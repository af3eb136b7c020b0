/**
 * A thread with a connection of its own that copies the write-ahead log into the database file, so that no request waits for the
 * syncs of that file. It is asked for one {@link CheckpointStep} at a time and answers each with whether it was done.
 */
import { parentPort, workerData } from 'node:worker_threads';

import { DatabaseSync } from '@photostructure/sqlite';

import type { CheckpointStep } from './embedded-checkpoints.ts';

/** Frames that may be left when copying ends. */
const FEW_FRAMES = 256;
/** How often it is copied, at most, what came in while copying. */
const MAX_ROUNDS = 4;
/** How long it waits for another process, in milliseconds; this process writes nothing meanwhile. */
const BUSY_TIMEOUT_MS = 20;

interface Progress {
  readonly busy: number;
  readonly log: number;
  readonly checkpointed: number;
}

const db = new DatabaseSync(workerData as string, { timeout: BUSY_TIMEOUT_MS });
// SECURITY: with less, SQLite would sync neither the log nor the file.
db.exec('PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0');
const copy = db.prepare('PRAGMA wal_checkpoint(PASSIVE)');
const restart = db.prepare('PRAGMA wal_checkpoint(RESTART)');

const STEPS: Readonly<Record<Exclude<CheckpointStep, 'close'>, () => boolean>> = {
  copy: () => {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { busy, log, checkpointed } = copy.get() as unknown as Progress;
      if (busy !== 0) return false;
      if (log - checkpointed <= FEW_FRAMES) return true;
    }
    return true;
  },
  restart: () => (restart.get() as unknown as Progress).busy === 0,
};

parentPort?.on('message', (step: CheckpointStep) => {
  if (step === 'close') {
    db.close();
    parentPort?.close();
    return;
  }
  let isDone = false;
  try {
    isDone = STEPS[step]();
  } finally {
    parentPort?.postMessage(isDone, []);
  }
});
