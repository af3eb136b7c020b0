import assert from 'node:assert/strict';
import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';

import { createCheckpoints } from '../../src/stores/embedded-checkpoints.ts';
import { createGroupCommit, type GroupCommit } from '../../src/stores/embedded-group-commit.ts';
import { openEmbeddedLog, type EmbeddedLog } from '../../src/stores/embedded-log.ts';
import { createTempFolder } from '../support/processes.ts';
import { until } from './attempts.ts';

const DUE_FRAMES = 200;
const PAGE_BYTES = 4_096;
const FRAME_BYTES = PAGE_BYTES + 24;

/** Where a descriptor leads. @returns nothing for one that was closed meanwhile */
function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

describe('checkpoints beside the event loop', () => {
  let folder: string;
  let path: string;
  let db: DatabaseSyncInstance;
  let log: EmbeddedLog;
  let commits: GroupCommit;
  let written = 0;

  beforeEach(async () => {
    folder = await createTempFolder();
    path = join(folder, 'test.db');
    db = new DatabaseSync(path);
    db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE t (key INTEGER PRIMARY KEY, body BLOB)');
    log = openEmbeddedLog(path);
    commits = createGroupCommit(db, log);
    written = 0;
  });
  afterEach(async () => {
    log.close();
    db.close();
    await rm(folder, { recursive: true });
  });

  const write = async (): Promise<void> => {
    const insert = db.prepare('INSERT INTO t (body) VALUES (randomblob(3000))');
    await commits.run(() => void insert.run());
    written++;
  };
  const frames = (): number =>
    Number((db.prepare('PRAGMA wal_checkpoint(NOOP)').get() as { log: number } | undefined)?.log);
  const count = (): number => Number((db.prepare('SELECT count(*) AS c FROM t').get() as { c: number } | undefined)?.c);

  test('under load without a pause the log begins anew, again and again, and nothing is lost', async () => {
    const checkpoints = createCheckpoints({ path, db, commits, dueFrames: DUE_FRAMES });
    let [anew, before] = [0, 0];
    await until(async () => {
      await write();
      const now = frames();
      if (now < before) anew++;
      before = now;
      return anew >= 3;
    }, 'the log began anew three times');
    await checkpoints.close();
    assert.equal(count(), written);
    assert.ok(statSync(`${path}-wal`).size < 32_000 * FRAME_BYTES);
    await write();
    assert.equal(count(), written, 'a closed one leaves the file as it is');
  });

  test('somebody who reads for long keeps the log from beginning anew, and nobody from writing', async () => {
    const reader = new DatabaseSync(path);
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM t').get();
    const checkpoints = createCheckpoints({ path, db, commits, dueFrames: DUE_FRAMES });
    const startedAtMs = performance.now();
    let longestMs = 0;
    while (performance.now() - startedAtMs < 1_000) {
      const atMs = performance.now();
      await write();
      longestMs = Math.max(longestMs, performance.now() - atMs);
    }
    assert.ok(frames() >= written, 'the log began anew under a reader');
    assert.ok(longestMs < 500, `${longestMs} ms`);
    reader.exec('COMMIT');
    reader.close();
    await checkpoints.close();
    assert.equal(count(), written);
  });

  test('closed in the middle of a checkpoint: the thread has let go of the file when that is done', async () => {
    for (let round = 0; round < 5; round++) {
      const checkpoints = createCheckpoints({ path, db, commits, dueFrames: 1 });
      const startedAtMs = performance.now();
      while (performance.now() - startedAtMs < 110) await write();
      await checkpoints.close();
      const descriptors = readdirSync('/proc/self/fd').map((name) => readLink(`/proc/self/fd/${name}`));
      assert.equal(descriptors.filter((one) => one === `${path}-wal`).length, 2, 'the connection and the log');
    }
    assert.equal(count(), written);
  });

  test('without the thread writing goes on', async () => {
    const program = new URL('file:///nowhere/worker.js');
    const checkpoints = createCheckpoints({ path, db, commits, program, dueFrames: 10 });
    const startedAtMs = performance.now();
    while (performance.now() - startedAtMs < 500) await write();
    await checkpoints.close();
    assert.equal(count(), written);
    assert.ok(frames() >= written);
  });
});
