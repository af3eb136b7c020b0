import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import { reading, toBlob } from './embedded-rows.ts';
import type { SealedRecords } from './sealed-records.ts';

/** Counts in SQLite; a row that is past its end counts as absent. */
export function createEmbeddedSealed(db: DatabaseSyncInstance, nowMs: () => number): SealedRecords {
  const toCount = (table: 'sessions' | 'messages') => {
    const count = db.prepare(`SELECT count(*) AS found FROM ${table} WHERE expires_at_ms > ? AND instr(body, ?) > 0`);
    return (marker: string): number => (count.get(nowMs(), toBlob(marker)) as { found: number }).found;
  };
  const [sessions, messages] = [toCount('sessions'), toCount('messages')];
  return { count: (marker) => reading(() => ({ sessions: sessions(marker), messages: messages(marker) })) };
}
