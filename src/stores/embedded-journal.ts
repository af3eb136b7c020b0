import type { DatabaseSyncInstance } from '@photostructure/sqlite';

/** How soon the switch is tried again, in milliseconds. */
const RETRY_MS = 5;
/** SQLITE_BUSY, in the low byte of whatever kind of it (sqlite.org/rescode.html). */
const BUSY = 5;

/**
 * Switches a file to write-ahead logging. SQLite's own time-out does not hold for this: of several processes that open a new file at
 * once, all but one would be told that it is locked.
 * @throws Error when it is still locked after `timeoutMs`
 */
export function useWriteAheadLog(db: DatabaseSyncInstance, timeoutMs: number): void {
  const endMs = performance.now() + timeoutMs;
  const never = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  for (;;) {
    try {
      db.exec('PRAGMA journal_mode=WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || performance.now() > endMs) throw error;
      Atomics.wait(never, 0, 0, RETRY_MS);
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === BUSY;
}
