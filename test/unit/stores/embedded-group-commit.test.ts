import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';

import { AppError } from '../../../src/core/errors.ts';
import { createGroupCommit, type GroupCommit } from '../../../src/stores/embedded-group-commit.ts';

describe('a group commit', () => {
  let db: DatabaseSyncInstance;
  let commits: GroupCommit;
  let executed: string[];

  beforeEach(() => {
    db = new DatabaseSync(':memory:');
    db.exec('CREATE TABLE t (a INTEGER PRIMARY KEY)');
    executed = [];
    const exec = (sql: string): void => {
      executed.push(sql);
      db.exec(sql);
    };
    // The members of a database work on the database itself alone.
    const get = (target: DatabaseSyncInstance, name: string): unknown =>
      name === 'exec' ? exec : Reflect.get(target, name);
    const watched = new Proxy(db, { get: (target, name) => get(target, String(name)) });
    commits = createGroupCommit(watched);
  });
  afterEach(() => {
    if (db.isOpen) db.close();
  });

  const insert = (a: number): Promise<number> =>
    commits.run(() => Number(db.prepare('INSERT INTO t VALUES (?)').run(a).lastInsertRowid));
  const count = (): unknown => (db.prepare('SELECT count(*) AS count FROM t').get() as { count: number }).count;
  const isUnavailable = (error: unknown): boolean => error instanceof AppError && error.code === 'store_unavailable';

  test('puts all writes of one turn into one transaction, in their order, each with its own result', async () => {
    const results = await Promise.all([insert(3), insert(1), insert(2)]);
    assert.deepEqual(results, [3, 1, 2]);
    assert.deepEqual(executed, ['BEGIN IMMEDIATE', 'COMMIT']);
    await insert(4);
    assert.equal(executed.length, 4);
    assert.equal(count(), 4);
  });

  test('answers nobody before the transaction is committed', async () => {
    const order: string[] = [];
    const first = insert(1).then(() => order.push(`answered after ${executed.at(-1)}`));
    const second = commits.run(() => order.push('second write'));
    await Promise.all([first, second]);
    assert.deepEqual(order, ['second write', 'answered after COMMIT']);
  });

  test('a write that throws takes back the whole group; the next turn works', async () => {
    const results = await Promise.allSettled([insert(1), insert(1), insert(2)]);
    for (const result of results) assert.ok(result.status === 'rejected' && isUnavailable(result.reason));
    assert.deepEqual(executed, ['BEGIN IMMEDIATE', 'ROLLBACK']);
    assert.equal(count(), 0);
    assert.equal(await insert(1), 1);
  });

  test('drain waits for what is waiting', async () => {
    let isDone = false;
    void insert(1).then(() => (isDone = true));
    await commits.drain();
    assert.equal(isDone, true);
    await commits.drain();
  });

  test('on a closed file everything is refused', async () => {
    db.close();
    await assert.rejects(insert(1), isUnavailable);
    await assert.rejects(insert(1), isUnavailable);
  });
});
