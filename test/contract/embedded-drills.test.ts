import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { DatabaseSync } from '@photostructure/sqlite';

import { systemClock } from '../../src/core/clock.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { describeChild, startChild, type Child } from '../support/child.ts';
import { createTempFolder } from '../support/processes.ts';
import { createAttempt, expectUnavailable, findBody, randomKey, TAG, until } from './attempts.ts';

const WORKER = fileURLToPath(new URL('./embedded-worker.js', import.meta.url));
const DISK_LIMIT_BYTES = 524_288;

/** The keys behind a word at the beginning of a complete line. */
function readKeys(output: string, word: string): string[] {
  const lines = output.slice(0, output.lastIndexOf('\n') + 1).split('\n');
  return lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
}

describe('an embedded store in rough hands', () => {
  let folder: string;
  let path: string;
  const open = () => createEmbeddedStore({ path, clock: systemClock });
  const startWorker = (...args: string[]): Promise<Child> =>
    startChild({ command: process.execPath, args: [WORKER, path, ...args], cwd: folder });

  beforeEach(async () => {
    folder = await createTempFolder();
    path = join(folder, 'countersign.db');
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** Asserts that the file remembers each key: its exchange is a replay and its session lives. */
  const expectRemembered = async (stems: readonly string[]): Promise<void> => {
    const store = open();
    try {
      for (const stem of stems) {
        const again = createAttempt({ sessionKey: stem, replay: { key: `jti:v1:${stem}` } });
        assert.deepEqual(await store.sessions.exchange(again), { kind: 'replayed' }, stem);
        assert.equal(await findBody(store, TAG, stem), `${stem} `.repeat(4));
      }
    } finally {
      await store.close();
    }
  };

  test('kill -9, three times over: no acknowledged exchange is forgotten', async (t) => {
    const acknowledged: string[] = [];
    for (let round = 0; round < 3; round++) {
      const worker = await startWorker('loop');
      await until(() => readKeys(worker.stdout(), 'granted').length > 200, 'the worker is busy');
      await worker.kill();
      acknowledged.push(...readKeys(worker.stdout(), 'granted'));
    }
    t.diagnostic(`${acknowledged.length} exchanges were acknowledged`);
    await expectRemembered(acknowledged);
  });

  test('three processes race for the same 200 keys: one winner each', async () => {
    const stems = Array.from({ length: 200 }, randomKey);
    const workers = await Promise.all(Array.from({ length: 3 }, () => startWorker('race', stems.join(','))));
    await until(
      () => workers.every((worker) => worker.stdout().includes('ready') || worker.hasExited()),
      'all are ready',
    );
    const store = open();
    await store.documents.insert('apps', 'go', '');
    await store.close();
    for (const worker of workers) assert.equal((await worker.exited).code, 0, describeChild(worker));
    const winners = workers.flatMap((worker) => readKeys(worker.stdout(), 'granted'));
    const losers = workers.flatMap((worker) => readKeys(worker.stdout(), 'replayed'));
    assert.deepEqual(winners.toSorted(), stems.toSorted());
    assert.deepEqual(losers.toSorted(), [...stems, ...stems].toSorted());
    await expectRemembered(stems);
  });

  test('eight processes that make the file together all get it', async () => {
    const stems = Array.from({ length: 8 }, randomKey);
    const workers = await Promise.all(stems.map((stem) => startWorker('race', stem)));
    await until(
      () => workers.every((worker) => worker.stdout().includes('ready') || worker.hasExited()),
      'all are ready',
    );
    for (const worker of workers) assert.equal(worker.hasExited(), false, describeChild(worker));
    const store = open();
    await store.documents.insert('apps', 'go', '');
    await store.close();
    for (const worker of workers) assert.equal((await worker.exited).code, 0, describeChild(worker));
    await expectRemembered(stems);
  });

  test('a full disk: refused, not granted, nothing forgotten; the same attempt is granted once there is room', async (t) => {
    const worker = await startChild({
      command: 'prlimit',
      args: [`--fsize=${DISK_LIMIT_BYTES}:unlimited`, process.execPath, WORKER, path, 'fill'],
      cwd: folder,
    });
    const refusals = (): string[] => readKeys(worker.stdout(), 'store_unavailable');
    await until(() => refusals().length > 0 || worker.hasExited(), 'the disk is full');
    const before = readKeys(worker.stdout(), 'granted');
    assert.ok(!before.includes(refusals()[0] ?? ''), 'granted while the disk was full');
    const { status } = spawnSync('prlimit', ['--pid', String(worker.pid), '--fsize=unlimited:unlimited']);
    assert.equal(status, 0, 'the limit is lifted');
    assert.equal((await worker.exited).code, 0, describeChild(worker));
    const granted = readKeys(worker.stdout(), 'granted');
    assert.equal(granted.at(-1), refusals()[0]);
    t.diagnostic(`${before.length} exchanges fitted into ${DISK_LIMIT_BYTES} B`);
    await expectRemembered(granted);
  });

  test('a file that another process keeps locked: refused in under a second, then granted', async () => {
    const store = open();
    const other = new DatabaseSync(path);
    try {
      const attempts = [createAttempt(), createAttempt()];
      other.exec('BEGIN IMMEDIATE');
      const startedAtMs = performance.now();
      const details = await Promise.all(attempts.map((attempt) => expectUnavailable(store.sessions.exchange(attempt))));
      assert.ok(performance.now() - startedAtMs < 1_000, `${performance.now() - startedAtMs} ms`);
      assert.deepEqual(details, Array(2).fill('embedded store: the database file does not answer'));
      const problem = 'embedded store: the database file does not answer';
      assert.deepEqual(await store.health(), { isReady: false, problem });
      other.exec('ROLLBACK');
      assert.deepEqual(await store.health(), { isReady: true });
      for (const attempt of attempts) {
        assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
      }
    } finally {
      other.close();
      await store.close();
    }
  });

  test('one write of a group that fails takes the group with it, and nothing else', async () => {
    const store = open();
    try {
      const good = createAttempt();
      const bad = createAttempt({ sessionMs: Number.NaN });
      const results = await Promise.allSettled([store.sessions.exchange(good), store.sessions.exchange(bad)]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ['rejected', 'rejected'],
      );
      assert.equal(await findBody(store, TAG, good.session.key), undefined);
      assert.deepEqual(await store.sessions.exchange(good), { kind: 'granted' });
    } finally {
      await store.close();
    }
  });
});
