import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';

import { AppError } from '../../../src/core/errors.ts';
import { createGroupCommit, type CommitLog, type GroupCommit } from '../../../src/stores/embedded-group-commit.ts';

describe('a group commit', () => {
  let db: DatabaseSyncInstance;
  let commits: GroupCommit;
  let executed: string[];
  /** Each ends a sync that is running. */
  const syncs: ((error?: Error) => void)[] = [];
  let isHeld: boolean;
  let failure: AppError | undefined;
  const log: CommitLog = {
    checkUsable: () => {
      if (failure) throw failure;
    },
    sync: async () => {
      executed.push('sync');
      if (isHeld) await new Promise<void>((done, fail) => syncs.push((error) => (error ? fail(error) : done())));
      executed.push('synced');
    },
  };

  beforeEach(() => {
    db = new DatabaseSync(':memory:');
    db.exec('CREATE TABLE t (a INTEGER PRIMARY KEY)');
    executed = [];
    isHeld = false;
    failure = undefined;
    syncs.length = 0;
    const exec = (sql: string): void => {
      executed.push(sql);
      db.exec(sql);
    };
    // The members of a database work on the database itself alone.
    const get = (target: DatabaseSyncInstance, name: string): unknown =>
      name === 'exec' ? exec : Reflect.get(target, name);
    const watched = new Proxy(db, { get: (target, name) => get(target, String(name)) });
    commits = createGroupCommit(watched, log);
  });
  afterEach(() => {
    if (db.isOpen) db.close();
  });

  const insert = (a: number): Promise<number> =>
    commits.run(() => Number(db.prepare('INSERT INTO t VALUES (?)').run(a).lastInsertRowid));
  const untilSync = async (): Promise<void> => {
    while (syncs.length === 0) await new Promise(setImmediate);
  };
  const count = (): unknown => (db.prepare('SELECT count(*) AS count FROM t').get() as { count: number }).count;
  const isUnavailable = (error: unknown): boolean => error instanceof AppError && error.code === 'store_unavailable';

  test('puts all writes of one turn into one transaction, in their order, each with its own result', async () => {
    const results = await Promise.all([insert(3), insert(1), insert(2)]);
    assert.deepEqual(results, [3, 1, 2]);
    assert.deepEqual(executed, ['BEGIN IMMEDIATE', 'COMMIT', 'sync', 'synced']);
    await insert(4);
    assert.equal(executed.length, 8);
    assert.equal(count(), 4);
  });

  test('answers nobody before the transaction is committed and on disk', async () => {
    const order: string[] = [];
    const first = insert(1).then(() => order.push(`answered after ${executed.at(-1)}`));
    const second = commits.run(() => order.push('second write'));
    await Promise.all([first, second]);
    assert.deepEqual(order, ['second write', 'answered after synced']);
  });

  test('a write that throws takes back the whole group; the next turn works', async () => {
    const results = await Promise.allSettled([insert(1), insert(1), insert(2)]);
    for (const result of results) assert.ok(result.status === 'rejected' && isUnavailable(result.reason));
    assert.deepEqual(executed, ['BEGIN IMMEDIATE', 'ROLLBACK']);
    assert.equal(count(), 0);
    assert.equal(await insert(1), 1);
  });

  test('what comes in during a sync is one group behind it, and has a sync of its own', async () => {
    isHeld = true;
    const answered: number[] = [];
    const first = insert(1).then((key) => answered.push(key));
    await untilSync();
    const others = [2, 3].map((key) => insert(key).then((got) => answered.push(got)));
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.deepEqual(executed, ['BEGIN IMMEDIATE', 'COMMIT', 'sync']);
    assert.deepEqual(answered, []);
    syncs.shift()?.();
    await first;
    await untilSync();
    assert.deepEqual(answered, [1]);
    assert.deepEqual(executed.slice(3), ['synced', 'BEGIN IMMEDIATE', 'COMMIT', 'sync']);
    syncs.shift()?.();
    await Promise.all(others);
    assert.deepEqual(answered, [1, 2, 3]);
  });

  test('a write that changes nothing waits for the disk, too', async () => {
    assert.equal(await commits.run(() => 'seen'), 'seen');
    assert.deepEqual(executed, ['BEGIN IMMEDIATE', 'COMMIT', 'sync', 'synced']);
  });

  test('a sync that fails refuses its whole group', async () => {
    isHeld = true;
    const calls = Promise.allSettled([insert(1), insert(2)]);
    await untilSync();
    syncs.shift()?.(new AppError('store_unavailable', { detail: 'no disk' }));
    for (const result of await calls) assert.ok(result.status === 'rejected' && isUnavailable(result.reason));
  });

  test('nothing is written for a log that cannot be relied on', async () => {
    failure = new AppError('store_unavailable', { detail: 'no disk' });
    await assert.rejects(insert(1), failure);
    assert.deepEqual(executed, []);
    assert.equal(count(), 0);
  });

  test('work between two groups: none begins before it is done, one that fails holds nobody up', async () => {
    let endWork = (): void => undefined;
    const work = commits.between(() => new Promise((done) => (endWork = done)));
    const written = insert(1);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.deepEqual(executed, []);
    endWork();
    await work;
    assert.equal(await written, 1);
    await assert.rejects(
      commits.between(() => Promise.reject(new Error('no'))),
      /no/,
    );
    assert.equal(await insert(2), 2);
  });

  test('drain waits for what is waiting', async () => {
    let isDone = false;
    void insert(1).then(() => (isDone = true));
    await commits.drain();
    assert.equal(isDone, true);
    await commits.drain();
    isHeld = true;
    let areDone = 0;
    void insert(2).then(() => areDone++);
    await untilSync();
    void insert(3).then(() => areDone++);
    isHeld = false;
    syncs.shift()?.();
    await commits.drain();
    assert.equal(areDone, 2);
  });

  test('on a closed file everything is refused', async () => {
    db.close();
    await assert.rejects(insert(1), isUnavailable);
    await assert.rejects(insert(1), isUnavailable);
  });
});
