import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { createToken } from '../../../src/core/ids.ts';
import { loadOrCreateFile, readIfPresent, replaceFile } from '../../../src/vault/key-file.ts';
import { describeChild, startChild } from '../../support/child.ts';
import { createTempFolder } from '../../support/processes.ts';

const WORKER = fileURLToPath(new URL('./key-file-worker.js', import.meta.url));
const READY_TIMEOUT_MS = 20_000;
const isRoot = process.getuid?.() === 0;
/** The id of a user and of a group that the tests do not run as. */
const SOMEBODY = 54_321;

describe('a file that is made once', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await createTempFolder();
    path = join(folder, 'keys', 'deeper', 'some.key');
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('is made when it is missing, folders included, for its owner alone, and then read', async () => {
    assert.equal(await readIfPresent(path), undefined);
    assert.deepEqual(await loadOrCreateFile(path, () => 'first\n'), { text: 'first\n', isNew: true });
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, 'keys'))).mode & 0o777, 0o700);
    assert.deepEqual(await readdir(join(folder, 'keys', 'deeper')), ['some.key'], 'a draft was left behind');
    assert.deepEqual(await loadOrCreateFile(path, () => assert.fail('made twice')), { text: 'first\n', isNew: false });
    assert.equal(await readIfPresent(path), 'first\n');
  });

  test('a maker that throws leaves nothing behind, and the next one makes it', async () => {
    await assert.rejects(
      loadOrCreateFile(path, () => {
        throw new Error('no randomness');
      }),
      /no randomness/,
    );
    assert.deepEqual(await readdir(join(folder, 'keys', 'deeper')), []);
    assert.equal((await loadOrCreateFile(path, () => 'second')).isNew, true);
  });

  test('what is there and cannot be read is not replaced', async () => {
    await mkdir(path, { recursive: true });
    await assert.rejects(
      loadOrCreateFile(path, () => 'x'),
      { code: 'EISDIR' },
    );
    await assert.rejects(readIfPresent(path), { code: 'EISDIR' });
  });

  test('an empty file is a file', async () => {
    await mkdir(join(folder, 'keys', 'deeper'), { recursive: true });
    await writeFile(path, '');
    assert.deepEqual(await loadOrCreateFile(path, () => assert.fail('made over it')), { text: '', isNew: false });
  });

  test('20 calls at once in one process: one makes it, all read it', async () => {
    const results = await Promise.all(Array.from({ length: 20 }, () => loadOrCreateFile(path, () => createToken(32))));
    assert.equal(results.filter(({ isNew }) => isNew).length, 1);
    assert.equal(new Set(results.map(({ text }) => text)).size, 1);
  });

  test('6 processes that start together: one makes it, all read it', async () => {
    const goFile = join(folder, 'go');
    const starting = Array.from({ length: 6 }, () =>
      startChild({ command: process.execPath, args: [WORKER, path, goFile], cwd: folder }),
    );
    const workers = await Promise.all(starting);
    const deadline = performance.now() + READY_TIMEOUT_MS;
    while (!workers.every((worker) => worker.stdout().startsWith('ready'))) {
      assert.ok(performance.now() < deadline, workers.map(describeChild).join('\n'));
      await wait(5);
    }
    await writeFile(goFile, '');
    for (const worker of workers) assert.equal((await worker.exited).code, 0, describeChild(worker));
    const results = workers.map(
      (worker) => JSON.parse(worker.stdout().split('\n')[1] ?? '') as { text: string; isNew: boolean },
    );
    const onDisk = await readFile(path, 'utf8');
    assert.equal(Buffer.from(onDisk, 'base64url').length, 32);
    assert.deepEqual(
      results.map(({ text }) => text),
      Array(6).fill(onDisk),
    );
    assert.equal(results.filter(({ isNew }) => isNew).length, 1);
    assert.deepEqual(await readdir(join(folder, 'keys', 'deeper')), ['some.key']);
  });
});

describe('a file that is replaced', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await createTempFolder();
    path = join(folder, 'some.key');
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('is made for its owner alone where there is none', async () => {
    await replaceFile(path, 'text');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(folder), ['some.key']);
  });

  for (const [former, now] of [
    [0o600, 0o600],
    [0o640, 0o640],
    [0o644, 0o640],
  ] as const) {
    test(`of mode ${former.toString(8)} has mode ${now.toString(8)} afterwards`, async () => {
      await writeFile(path, 'former');
      await chmod(path, former);
      await replaceFile(path, 'text');
      assert.equal((await stat(path)).mode & 0o777, now);
      assert.equal(await readFile(path, 'utf8'), 'text');
    });
  }

  test(
    'stays the file of the user whose it was',
    { skip: isRoot ? false : 'only root can give files away' },
    async () => {
      await writeFile(path, 'former', { mode: 0o600 });
      await chown(path, SOMEBODY, SOMEBODY);
      await replaceFile(path, 'text');
      const { uid, gid, mode } = await stat(path);
      assert.deepEqual([uid, gid, mode & 0o777], [SOMEBODY, SOMEBODY, 0o600]);
    },
  );

  test('is left as it was, without a draft beside it, where it cannot be replaced', async () => {
    await mkdir(path);
    await assert.rejects(replaceFile(path, 'text'), { code: 'EISDIR' });
    assert.deepEqual(await readdir(folder), ['some.key']);
  });
});
