import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { GroupCommit } from './embedded-group-commit.ts';
import { reading } from './embedded-rows.ts';
import { SESSION_TABLES } from './embedded-schema.ts';

/** Rows that one step of a purge looks at. */
const PURGED_AT_ONCE = 1_000;

interface SessionOwner {
  readonly key: Uint8Array;
  /** Whether the identity that it was made for is gone. */
  readonly isGone: 0 | 1;
}

/** Deletes the sessions whose identity is gone, in steps that hold nobody up. */
export function createPurge(db: DatabaseSyncInstance, commits: GroupCommit): () => Promise<void> {
  const tables = SESSION_TABLES.map((table) => ({
    pageOf: db.prepare(`
      SELECT page.key, page.identity IS NOT NULL AND identities.key IS NULL AS isGone
      FROM (SELECT key, identity, incarnation FROM ${table} WHERE key > ? ORDER BY key LIMIT ?) AS page
      LEFT JOIN identities ON identities.key = page.identity AND identities.incarnation = page.incarnation
      ORDER BY page.key`),
    drop: db.prepare(`DELETE FROM ${table} WHERE key = ?`),
  }));
  return async function purge() {
    for (const { pageOf, drop } of tables) {
      let after: Uint8Array | undefined = Buffer.alloc(0);
      while (after) {
        const from: Uint8Array = after;
        const page = await reading(() => pageOf.all(from, PURGED_AT_ONCE) as unknown as SessionOwner[]);
        const gone = page.filter(({ isGone }) => isGone === 1);
        if (gone.length > 0) await commits.run(() => gone.forEach(({ key }) => drop.run(key)));
        after = page.at(-1)?.key;
      }
    }
  };
}
