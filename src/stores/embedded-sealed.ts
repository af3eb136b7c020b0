import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import { reading, toBlob } from './embedded-rows.ts';
import { SESSION_TABLES } from './embedded-schema.ts';
import type { SealedRecords } from './sealed-records.ts';

/** Counts in SQLite; a row that is past its end counts as absent. */
export function createEmbeddedSealed(db: DatabaseSyncInstance, nowMs: () => number): SealedRecords {
  const counts = [...SESSION_TABLES, 'messages'].map((table) =>
    db.prepare(`SELECT count(*) AS found FROM ${table} WHERE expires_at_ms > ? AND instr(body, ?) > 0`),
  );
  return {
    count: (marker) =>
      reading(() => {
        const found = counts.map((count) => (count.get(nowMs(), toBlob(marker)) as { found: number }).found);
        const messages = found.pop() ?? 0;
        return { sessions: found.reduce((sum, one) => sum + one, 0), messages };
      }),
  };
}
