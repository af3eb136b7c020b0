import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';

import { systemClock } from '../../src/core/clock.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { SETTLED_MS } from '../../src/stores/embedded-sweep-pace.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { describeChild, startChild } from '../support/child.ts';
import { createTempFolder } from '../support/processes.ts';
import type { Store } from '../../src/stores/ports.ts';
import {
  createAttempt,
  expectUnavailable,
  findBody,
  randomKey,
  replayKeyOf,
  TAG,
  until,
  withOtherSession,
} from './attempts.ts';

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

/** The tables as version 4 made those that have changed since. */
const VERSION_4 = `
  CREATE TABLE replays (
    key BLOB PRIMARY KEY, used_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX replays_by_expiry ON replays (expires_at_ms);
  CREATE TABLE sessions (
    key BLOB PRIMARY KEY, identity BLOB NOT NULL, incarnation BLOB NOT NULL, body BLOB NOT NULL,
    expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);
  CREATE TABLE identities (
    key BLOB PRIMARY KEY, owner BLOB NOT NULL, incarnation BLOB NOT NULL, conversation BLOB NOT NULL,
    active_until_ms INTEGER NOT NULL, body BLOB NOT NULL, expires_at_ms INTEGER) WITHOUT ROWID;
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

  const makeVersion4 = (version: number): void =>
    inFile((db) => {
      db.exec('PRAGMA journal_mode=WAL;');
      db.exec(VERSION_4);
      db.exec(`PRAGMA user_version = ${version}`);
      const { identity, session } = used;
      const [id, owner, mark, talk] = [identity.id, identity.owner, identity.incarnation, identity.conversation].map(
        (text) => Buffer.from(text),
      );
      const body = Buffer.from(identity.body);
      db.prepare('INSERT INTO identities VALUES (?, ?, ?, ?, ?, ?, NULL)').run(id, owner, mark, talk, FOREVER_MS, body);
      const row = [session.key, identity.id, identity.incarnation, session.body].map((text) => Buffer.from(text));
      db.prepare('INSERT INTO sessions VALUES (?, ?, ?, ?, ?)').run(...row, FOREVER_MS);
      const claim = db.prepare('INSERT INTO replays VALUES (?, ?, ?)');
      claim.run(Buffer.from(replayKeyOf(used)), Date.now(), FOREVER_MS);
      claim.run(Buffer.from(randomKey()), Date.now(), FOREVER_MS);
    });
  const expectOneGrant = async (store: Store): Promise<void> => {
    const attempt = createAttempt();
    assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
    assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'replayed' });
  };

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
      assert.equal(readVersion(), 5);
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
    inFile((db) => db.exec('PRAGMA user_version = 6'));
    assert.throws(open, /^Error: the database was written by a later version of Countersign \(6\)$/);
    assert.equal(readVersion(), 6);
    assert.equal(readNumber('SELECT count(*) FROM sessions'), 1);
  });

  for (const version of [2, 3, 4]) {
    test(`a file of version ${version} keeps its users, sessions and replay records, for as long as they live`, async () => {
      makeVersion4(version);
      const key = used.session.key;
      for (const round of [1, 2]) {
        const store = open();
        try {
          assert.equal(await findBody(store, TAG, key), used.session.body, `round ${round}`);
          const again = { ...used, session: { ...used.session, body: 'another' } };
          assert.deepEqual(await store.sessions.exchange(again), { kind: 'reused', body: used.session.body });
          assert.deepEqual(await store.sessions.exchange(withOtherSession(used)), { kind: 'replayed' });
          assert.equal(await store.sessions.revoke(TAG, randomKey()), false);
          await expectOneGrant(store);
          await store.presence.announce('a', 'b', 1_000);
          assert.deepEqual(await store.presence.list(''), [{ owner: 'a', body: 'b' }]);
        } finally {
          await store.close();
        }
        assert.equal(readVersion(), 5);
        assert.equal(readNumber('SELECT count(*) FROM former_replays'), 2, 'something was added to a former table');
      }
      const store = open();
      try {
        assert.equal(await store.sessions.revoke(TAG, key), true);
        assert.equal(await findBody(store, TAG, key), undefined);
        assert.deepEqual(await store.sessions.exchange(used), { kind: 'replayed' });
        assert.equal(await store.sessions.revoke(TAG, key), false);
      } finally {
        await store.close();
      }
    });
  }

  test('sessions of a file of version 4 end with their user, and what is left of them is purged', async () => {
    makeVersion4(4);
    const store = open();
    try {
      assert.deepEqual(await store.sealed.count(used.session.body), { sessions: 1, messages: 0 });
      assert.equal(await store.identities.remove(used.identity.id), true);
      assert.equal(await findBody(store, TAG, used.session.key), undefined);
      await store.sessions.purge();
      assert.deepEqual(await store.sealed.count(used.session.body), { sessions: 0, messages: 0 });
      assert.deepEqual(await store.sessions.exchange(used), { kind: 'replayed' });
    } finally {
      await store.close();
    }
  });

  test('what version 4 wrote is swept once it has expired', async (t) => {
    makeVersion4(4);
    t.mock.timers.enable({ apis: ['setInterval'] });
    const clock = createFakeClock(Date.now() / 1000);
    let elapsedMs = 0;
    const store = createEmbeddedStore({ path, clock, monotonicMs: () => elapsedMs });
    try {
      assert.deepEqual(await store.sessions.exchange(used), { kind: 'reused', body: used.session.body });
      elapsedMs = SETTLED_MS;
      clock.set(FOREVER_MS / 1000 + 1);
      t.mock.timers.tick(10_000);
      await until(() => readNumber('SELECT count(*) FROM former_replays') === 0, 'it is swept');
      assert.equal(readNumber('SELECT count(*) FROM former_sessions'), 0);
      assert.equal(await findBody(store, TAG, used.session.key), undefined);
      assert.deepEqual(await store.sessions.exchange(used), { kind: 'granted' });
    } finally {
      await store.close();
    }
  });

  test('a process of version 4 that was left running does nothing any more on a file of this version', async () => {
    makeVersion4(4);
    const db = new DatabaseSync(path);
    try {
      const claim = db.prepare('INSERT INTO replays VALUES (?, 0, 1)');
      const find = db.prepare('SELECT 1 FROM sessions');
      claim.run(Buffer.from('a'));
      await open().close();
      assert.throws(() => claim.run(Buffer.from('b')), /no such table/);
      assert.throws(() => find.get(), /no such table/);
    } finally {
      db.close();
    }
  });

  test('a new file has the present version', async () => {
    const store = open();
    await store.close();
    assert.equal(readVersion(), 5);
    await expectUnavailable(store.sessions.exchange(createAttempt()));
  });
});
