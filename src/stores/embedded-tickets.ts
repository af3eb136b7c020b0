import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { GroupCommit } from './embedded-group-commit.ts';
import { toBlob, toText } from './embedded-rows.ts';
import type { TicketStore } from './ports.ts';

export interface EmbeddedTicketsDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly nowMs: () => number;
}

/** Tickets in SQLite, deleted by the statement that reads them. */
export function createEmbeddedTickets({ db, commits, nowMs }: EmbeddedTicketsDeps): TicketStore {
  const put = db.prepare('INSERT OR REPLACE INTO tickets (key, body, expires_at_ms) VALUES (?, ?, ?)');
  const take = db.prepare('DELETE FROM tickets WHERE key = ? AND expires_at_ms > ? RETURNING body');
  return {
    put: (key, body, expiresInMs) =>
      commits.run(() => void put.run(toBlob(key), toBlob(body), nowMs() + Math.ceil(expiresInMs))),
    take: (key) =>
      commits.run(() => {
        const row = take.get(toBlob(key), nowMs()) as { body: Uint8Array } | undefined;
        return row && toText(row.body);
      }),
  };
}
