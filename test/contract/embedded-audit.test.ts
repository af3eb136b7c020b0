import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';

import { systemClock } from '../../src/core/clock.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import type { AuditLine, Store } from '../../src/stores/ports.ts';
import { createTempFolder } from '../support/processes.ts';

/** Statements by which somebody might try to change what was written, and what SQLite says. */
const STATEMENTS: Readonly<Record<string, readonly [sql: string, refusal: RegExp]>> = {
  'an update': [`UPDATE audit SET body = x'00'`, /is not changed/],
  'an update of the time': ['UPDATE audit SET at_ms = 0 WHERE key = 1', /is not changed/],
  'an update of the key': ['UPDATE OR REPLACE audit SET key = 2 WHERE key = 1', /is not changed/],
  'a deletion': ['DELETE FROM audit WHERE key = 2', /is not deleted/],
  'a deletion of everything': ['DELETE FROM audit', /is not deleted/],
  'a replacing insert': [`REPLACE INTO audit (key, at_ms, body) VALUES (2, 0, x'00')`, /is not replaced/],
  'an upsert': [
    `INSERT INTO audit (key, at_ms, body) VALUES (2, 0, x'00') ON CONFLICT (key) DO UPDATE SET body = x'00'`,
    /is not replaced/,
  ],
  'an insert before the others': [`INSERT INTO audit (key, at_ms, body) VALUES (0, 0, x'00')`, /at the end/],
};

describe('the audit trail in a database file', () => {
  let folder: string;
  let path: string;
  let store: Store;
  let lines: AuditLine[];

  const inFile = <T>(act: (db: DatabaseSyncInstance) => T): T => {
    const db = new DatabaseSync(path);
    try {
      return act(db);
    } finally {
      db.close();
    }
  };

  before(async () => {
    folder = await createTempFolder();
    path = join(folder, 'countersign.db');
    store = createEmbeddedStore({ path, clock: systemClock });
    for (const body of ['first', 'second', 'third']) await store.audit.append(body);
    lines = await store.audit.list({ limit: 10 });
    assert.equal(lines.length, 3);
  });
  after(async () => {
    await store?.close();
    await rm(folder, { recursive: true });
  });

  for (const [name, [sql, refusal]] of Object.entries(STATEMENTS)) {
    test(`${name} is refused, and every line stands as it was`, async () => {
      assert.throws(() => inFile((db) => db.exec(sql)), refusal);
      assert.deepEqual(await store.audit.list({ limit: 10 }), lines);
    });
  }

  test('an expiry leaves no bound behind by which more could be deleted', async () => {
    assert.equal(await store.audit.expire(1), 0);
    assert.equal(
      inFile((db) => (db.prepare('SELECT count(*) AS count FROM audit_expiry').get() as { count: number }).count),
      0,
    );
    assert.throws(() => inFile((db) => db.exec('DELETE FROM audit')), /is not deleted/);
  });

  test('a file of version 3 gets the audit trail, and keeps what it has', async () => {
    const former = join(folder, 'former.db');
    const before = createEmbeddedStore({ path: former, clock: systemClock });
    await before.documents.insert('apps', 'cs-1', '{}');
    await before.close();
    const db = new DatabaseSync(former);
    db.exec('DROP TABLE audit; DROP TABLE audit_expiry; DROP TABLE claims; PRAGMA user_version = 3');
    db.close();
    const upgraded = createEmbeddedStore({ path: former, clock: systemClock });
    try {
      assert.equal((await upgraded.documents.list('apps')).length, 1);
      await upgraded.audit.append('first');
      assert.equal(await upgraded.claims.claim('a', 1_000), true);
      assert.equal(await upgraded.claims.claim('a', 1_000), false);
    } finally {
      await upgraded.close();
    }
  });
});
