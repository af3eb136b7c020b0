import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { GroupCommit } from './embedded-group-commit.ts';
import { toBlob } from './embedded-rows.ts';
import type { ClaimStore } from './ports.ts';

export interface EmbeddedClaimsDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly nowMs: () => number;
}

/** Claimed names in SQLite: the primary key elects who gets one. */
export function createEmbeddedClaims({ db, commits, nowMs }: EmbeddedClaimsDeps): ClaimStore {
  // One that has expired and was not swept yet is taken over; a live one is not touched, and no row changes.
  const claim = db.prepare(`
    INSERT INTO claims (key, expires_at_ms) VALUES (?, ?)
    ON CONFLICT (key) DO UPDATE SET expires_at_ms = excluded.expires_at_ms WHERE claims.expires_at_ms <= ?`);
  return {
    claim: (key, expiresInMs) =>
      commits.run(() => {
        const now = nowMs();
        return claim.run(toBlob(key), now + Math.ceil(expiresInMs), now).changes > 0;
      }),
  };
}
