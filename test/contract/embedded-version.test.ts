import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';

import { systemClock } from '../../src/core/clock.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { describeChild, startChild } from '../support/child.ts';
import { createTempFolder } from '../support/processes.ts';
import { createAttempt, expectUnavailable, findBody, randomKey, replayKeyOf, TAG, until } from './attempts.ts';

const WORKER = fileURLToPath(new URL('./embedded-worker.js', import.meta.url));
const FOREVER_MS = 4_000_000_000_000;

/** The tables as the first release made them; it wrote no version into the file. */
const VERSION_1 = `
  CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL, id BLOB NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (collection, id)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS changes (collection TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS replays (
    key BLOB PRIMARY KEY, used_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS replays_by_expiry ON replays (expires_at_ms);
  CREATE TABLE IF NOT EXISTS sessions (
    key BLOB PRIMARY KEY, body BLOB NOT NULL, expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at_ms);
`;

describe('the version of a database file', () => {
  let folder: string;
  let path: string;
  const used = createAttempt({ replay: { reuseWindowMs: 60_000 } });
  const open = () => createEmbeddedStore({ path, clock: systemClock });
  const inFile = <T>(act: (db: DatabaseSyncInstance) => T): T => {
    const db = new DatabaseSync(path);
    try {
      return act(db);
    } finally {
      db.close();
    }
  };
  const readNumber = (sql: string): unknown => inFile((db) => Object.values(db.prepare(sql).get() ?? {})[0]);
  const readVersion = (): unknown => readNumber('PRAGMA user_version');
  const makeVersion1 = (): void =>
    inFile((db) => {
      db.exec('PRAGMA journal_mode=WAL;');
      db.exec(VERSION_1);
      const insert = db.prepare('INSERT INTO documents VALUES (?, ?, ?, ?)');
      insert.run('apps', Buffer.from('cs-1'), 3, Buffer.from('{"name":"älice"}'));
      insert.run('platform-keys', Buffer.from('k-1'), 1, Buffer.from('sealed'));
      db.prepare('INSERT INTO changes VALUES (?, ?)').run('apps', 3);
      db.prepare('INSERT INTO replays VALUES (?, ?, ?)').run(Buffer.from(replayKeyOf(used)), 0, FOREVER_MS);
      const bearer = Buffer.from(used.session.key);
      db.prepare('INSERT INTO sessions VALUES (?, ?, ?)').run(bearer, Buffer.from('{}'), FOREVER_MS);
    });

  beforeEach(async () => {
    folder = await createTempFolder();
    path = join(folder, 'countersign.db');
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('a file of version 1 keeps its documents and its replay records; its sessions end', async () => {
    makeVersion1();
    for (const round of [1, 2]) {
      const store = open();
      try {
        const app = { id: 'cs-1', revision: 3, body: '{"name":"älice"}' };
        assert.deepEqual(await store.documents.list('apps'), [app], `round ${round}`);
        assert.deepEqual(await store.documents.get('platform-keys', 'k-1'), { id: 'k-1', revision: 1, body: 'sealed' });
        assert.deepEqual(await store.sessions.exchange(used), { kind: 'replayed' });
        assert.equal(await findBody(store, TAG, used.session.key), undefined);
        assert.deepEqual(await store.sessions.exchange(createAttempt()), { kind: 'granted' });
      } finally {
        await store.close();
      }
      assert.equal(readVersion(), 4);
    }
    const store = open();
    try {
      assert.equal(await store.documents.update('apps', 'cs-1', '{}', 3), true);
    } finally {
      await store.close();
    }
  });

  test('four processes that open a file of version 1 together all get it, and lose nothing', async () => {
    makeVersion1();
    const stems = Array.from({ length: 4 }, randomKey);
    const workers = await Promise.all(
      stems.map((stem) => startChild({ command: process.execPath, args: [WORKER, path, 'race', stem], cwd: folder })),
    );
    await until(
      () => workers.every((worker) => worker.stdout().includes('ready') || worker.hasExited()),
      'all are ready',
    );
    const store = open();
    try {
      await store.documents.insert('apps', 'go', '');
      for (const worker of workers) assert.equal((await worker.exited).code, 0, describeChild(worker));
      for (const stem of stems) assert.notEqual(await findBody(store, TAG, stem), undefined);
      assert.deepEqual(await store.sessions.exchange(used), { kind: 'replayed' });
    } finally {
      await store.close();
    }
  });

  test('a file of a later version is refused with a sentence, and left as it is', async () => {
    makeVersion1();
    inFile((db) => db.exec('PRAGMA user_version = 5'));
    assert.throws(open, /^Error: the database was written by a later version of Countersign \(5\)$/);
    assert.equal(readVersion(), 5);
    assert.equal(readNumber('SELECT count(*) FROM sessions'), 1);
  });

  test('a file of version 2 keeps its sessions, and presence is kept in it', async () => {
    const before = open();
    await before.sessions.exchange(used);
    await before.close();
    inFile((db) => db.exec('DROP TABLE presence; PRAGMA user_version = 2'));
    const store = open();
    try {
      assert.equal(readVersion(), 4);
      assert.equal(await findBody(store, TAG, used.session.key), used.session.body);
      await store.presence.announce('a', 'b', 1_000);
      assert.deepEqual(await store.presence.list(''), [{ owner: 'a', body: 'b' }]);
    } finally {
      await store.close();
    }
  });

  test('a new file has the present version', async () => {
    const store = open();
    await store.close();
    assert.equal(readVersion(), 4);
    await expectUnavailable(store.sessions.exchange(createAttempt()));
  });
});
