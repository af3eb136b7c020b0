import assert from 'node:assert/strict';
import { copyFileSync, fdatasync, readFileSync, renameSync, statSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { DatabaseSync } from '@photostructure/sqlite';

import { systemClock } from '../../src/core/clock.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import type { SyncFile } from '../../src/stores/embedded-log.ts';
import type { Store } from '../../src/stores/ports.ts';
import { createTempFolder } from '../support/processes.ts';
import { createAttempt, createIdentity, expectUnavailable, findBody, randomKey, TAG, until } from './attempts.ts';

const BROKEN = /cannot be brought to the disk/;

describe('what an embedded store acknowledges is on disk', () => {
  let folder: string;
  let path: string;
  let store: Store;
  let syncs: { descriptor: number; done: (error: Error | null) => void }[];
  const hold: SyncFile = (descriptor, done) => void syncs.push({ descriptor, done });
  const open = (syncFile: SyncFile): Store => createEmbeddedStore({ path, clock: systemClock, syncFile });
  const untilSync = (): Promise<void> => until(() => syncs.length > 0, 'a sync has begun');
  const finish = (error: Error | null = null): void => syncs.shift()?.done(error);

  beforeEach(async () => {
    folder = await createTempFolder();
    path = join(folder, 'countersign.db');
    syncs = [];
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  /** Everything that is acknowledged, and what it is once the sync is done. */
  const CALLS: Readonly<Record<string, (on: Store) => Promise<unknown>>> = {
    'an exchange': (on) => on.sessions.exchange(createAttempt()),
    'a revocation that finds nothing': (on) => on.sessions.revoke(TAG, randomKey()),
    'a document': (on) => on.documents.insert('apps', 'a', '{}'),
    'a registered user': (on) => on.identities.create(createIdentity()),
    'an erased user': (on) => on.identities.remove('a'),
    messages: (on) => on.conversations.append('a', 'b', ['c'], 1),
    'a ticket': (on) => on.tickets.put('a', 'b', 1_000),
    'a ticket that is taken': (on) => on.tickets.take('a'),
    presence: (on) => on.presence.announce('a', 'b', 1_000),
    'a claimed name': (on) => on.claims.claim('a', 1_000),
    'a line of the audit trail': (on) => on.audit.append('{}'),
    health: (on) => on.health(),
  };
  for (const [what, call] of Object.entries(CALLS)) {
    test(`${what}: not answered before the sync of the log has ended`, async () => {
      store = open(hold);
      let isAnswered = false;
      const answered = call(store).then(() => (isAnswered = true));
      await untilSync();
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
      assert.equal(isAnswered, false);
      finish();
      await answered;
    });
  }

  test('what is synced is the log, and all that was acknowledged is in the file and its log by then', async () => {
    const inodes: number[] = [];
    const copy = join(folder, 'copy.db');
    store = open((descriptor, done) => {
      inodes.push(statSync(`/proc/self/fd/${descriptor}`).ino);
      fdatasync(descriptor, (error) => {
        for (const end of ['', '-wal']) copyFileSync(`${path}${end}`, `${copy}${end}`);
        done(error);
      });
    });
    const attempt = createAttempt();
    assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
    assert.deepEqual(new Set(inodes), new Set([statSync(`${path}-wal`).ino]));
    const restored = createEmbeddedStore({ path: copy, clock: systemClock });
    assert.deepEqual(await restored.sessions.exchange(attempt), { kind: 'replayed' });
    assert.equal(await findBody(restored, TAG, attempt.session.key), attempt.session.body);
    await restored.close();
  });

  test('a sync that fails: the group is refused, and nothing is acknowledged any more, nor written', async () => {
    store = open(hold);
    const attempts = [createAttempt(), createAttempt()];
    const refused = attempts.map((attempt) => expectUnavailable(store.sessions.exchange(attempt)));
    await untilSync();
    const behind = createAttempt();
    const late = expectUnavailable(store.sessions.exchange(behind));
    finish(new Error('EIO: i/o error, fdatasync'));
    for (const detail of await Promise.all([...refused, late])) assert.match(detail, BROKEN);
    const health = await store.health();
    assert.ok(!health.isReady && BROKEN.test(health.problem));
    assert.match(await expectUnavailable(store.documents.insert('apps', 'a', '{}')), BROKEN);
    assert.equal(syncs.length, 0, 'the log was synced again, as if that said anything');
    assert.equal(await findBody(store, TAG, behind.session.key), undefined);
    assert.deepEqual(await store.documents.list('apps'), []);
    await store.close();
    store = open(fdatasync);
    assert.deepEqual(await store.sessions.exchange(behind), { kind: 'granted' });
  });

  test("a log that was deleted or replaced under the store's hands: refused", async (t) => {
    for (const act of [
      (log: string) => unlinkSync(log),
      (log: string) => {
        copyFileSync(log, `${log}.new`);
        renameSync(`${log}.new`, log);
      },
    ]) {
      store = open(fdatasync);
      const before = createAttempt();
      assert.deepEqual(await store.sessions.exchange(before), { kind: 'granted' });
      act(`${path}-wal`);
      assert.match(await expectUnavailable(store.sessions.exchange(createAttempt())), BROKEN);
      assert.match(await expectUnavailable(store.sessions.exchange(createAttempt())), BROKEN);
      await store.close();
      for (const end of ['', '-wal', '-shm']) await rm(`${path}${end}`, { force: true });
      t.diagnostic('refused');
    }
    store = open(fdatasync);
  });

  test("another process's checkpoint, and a log that begins anew: nothing acknowledged is missing", async () => {
    store = open(fdatasync);
    const attempts = Array.from({ length: 60 }, () => createAttempt());
    const other = new DatabaseSync(path);
    try {
      for (const [index, attempt] of attempts.entries()) {
        assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
        if (index % 20 === 9) other.exec('PRAGMA wal_checkpoint(RESTART)');
        if (index % 20 === 19) other.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      }
    } finally {
      other.close();
    }
    for (const attempt of attempts) assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'replayed' });
    assert.deepEqual(await store.health(), { isReady: true });
  });

  test('a checkpoint between commit and sync: the database file itself has what the log has lost', async () => {
    store = open(hold);
    const attempt = createAttempt();
    const answered = store.sessions.exchange(attempt);
    await untilSync();
    const other = new DatabaseSync(path);
    other.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    assert.equal(readFileSync(`${path}-wal`).length, 0);
    const copy = join(folder, 'copy.db');
    copyFileSync(path, copy);
    other.close();
    finish();
    assert.deepEqual(await answered, { kind: 'granted' });
    const restored = createEmbeddedStore({ path: copy, clock: systemClock });
    assert.deepEqual(await restored.sessions.exchange(attempt), { kind: 'replayed' });
    await restored.close();
  });

  test('opening and closing a second store in one process leaves the first one its locks', async () => {
    store = open(fdatasync);
    const second = open(fdatasync);
    assert.deepEqual(await second.sessions.exchange(createAttempt()), { kind: 'granted' });
    await second.close();
    const ino = statSync(`${path}-wal`).ino;
    const attempt = createAttempt();
    assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
    assert.equal(statSync(`${path}-wal`).ino, ino);
    assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'replayed' });
  });
});
