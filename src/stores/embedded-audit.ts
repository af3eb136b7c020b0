import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import { AppError } from '../core/errors.ts';
import type { GroupCommit } from './embedded-group-commit.ts';
import { reading, toBlob, toText } from './embedded-rows.ts';
import type { AuditStore } from './ports.ts';

export interface EmbeddedAuditDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly nowMs: () => number;
}

/** Digits of a line's id: texts of one length ascend as their numbers do. */
const ID_DIGITS = 15;
const ID = /^\d{1,15}$/;

/** The audit trail in SQLite: a table whose triggers refuse every change but the dropping of old lines. */
export function createEmbeddedAudit({ db, commits, nowMs }: EmbeddedAuditDeps): AuditStore {
  const append = db.prepare('INSERT INTO audit (at_ms, body) VALUES (?, ?) RETURNING key');
  const oldest = db.prepare('SELECT key, body FROM audit WHERE key > ? ORDER BY key LIMIT ?');
  const newest = db.prepare('SELECT key, body FROM audit WHERE key > ? ORDER BY key DESC LIMIT ?');
  // The triggers let go what is older than the bound that stands here, and it stands here inside one transaction alone.
  const setBound = db.prepare('INSERT INTO audit_expiry (before_ms) VALUES (?)');
  const dropOld = db.prepare('DELETE FROM audit WHERE at_ms < ?');
  const clearBound = db.prepare('DELETE FROM audit_expiry');
  return {
    append: (body) => commits.run(() => toId((append.get(nowMs(), toBlob(body)) as { key: number }).key)),
    list: async ({ after = '', limit, isNewestFirst = false }) => {
      const from = parseId(after);
      const rows = await reading(
        () => (isNewestFirst ? newest : oldest).all(from, limit) as { key: number; body: Uint8Array }[],
      );
      return rows.map(({ key, body }) => ({ id: toId(key), body: toText(body) }));
    },
    expire: (beforeMs) =>
      commits.run(() => {
        setBound.run(Math.floor(beforeMs));
        const { changes } = dropOld.run(Math.floor(beforeMs));
        clearBound.run();
        return changes;
      }),
  };
}

const toId = (key: number): string => String(key).padStart(ID_DIGITS, '0');

function parseId(after: string): number {
  if (after !== '' && !ID.test(after)) {
    throw new AppError('invalid_request', { values: { detail: '"after" is not the id of a line' } });
  }
  return Number(after);
}
