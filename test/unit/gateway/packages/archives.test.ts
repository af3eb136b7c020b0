import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';

import { MAX_PACKAGE_PATH_BYTES, type PackageEntry } from '../../../../src/gateway/packages/package-entry.ts';
import { toTar } from '../../../../src/gateway/packages/tar.ts';
import { toZip } from '../../../../src/gateway/packages/zip.ts';

const execute = promisify(execFile);

function toFile(path: string, body: Buffer | string, mode = 0o644): PackageEntry {
  return { path, mode, body: Buffer.from(body) };
}

/** Sizes around a block, nothing, bytes of every kind, what compresses and what does not. */
const ENTRIES: readonly PackageEntry[] = [
  toFile('top/empty', ''),
  { path: 'top/folder/', mode: 0o700, body: Buffer.alloc(0) },
  toFile('top/one', 'x'),
  toFile('top/block', 'y'.repeat(512)),
  toFile('top/over', 'z'.repeat(513)),
  toFile('top/deep/er/every-byte', Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7919) % 251))),
  toFile('top/start.sh', '#!/bin/sh\necho started\n', 0o755),
  toFile(`top/${'n'.repeat(MAX_PACKAGE_PATH_BYTES - 4)}`, 'the longest name'),
];

async function makeFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-archive-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function assertUnpacked(folder: string): Promise<void> {
  for (const { path, mode, body } of ENTRIES) {
    const found = await stat(join(folder, path));
    assert.equal(found.mode & 0o777, mode, path);
    assert.equal(found.isDirectory(), path.endsWith('/'), path);
    if (!path.endsWith('/')) assert.ok(body.equals(await readFile(join(folder, path))), path);
  }
}

const PYTHON_ZIP = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    for info in archive.infolist():
        print(info.filename, oct(info.external_attr >> 16 & 0o777), info.file_size, info.date_time[0])
`;
const PYTHON_TAR = `
import sys, tarfile
with tarfile.open(sys.argv[1]) as archive:
    for info in archive.getmembers():
        print(info.name, oct(info.mode), info.size, info.uid, info.mtime)
`;

describe('a tar archive', () => {
  it('is unpacked by tar', async (t) => {
    const folder = await makeFolder(t);
    await writeFile(join(folder, 'a.tar'), toTar(ENTRIES));
    const { stderr } = await execute('tar', ['-xpf', 'a.tar'], { cwd: folder });
    assert.equal(stderr, '');
    await assertUnpacked(folder);
  });

  it('is read by Python', async (t) => {
    const folder = await makeFolder(t);
    await writeFile(join(folder, 'a.tar'), toTar(ENTRIES));
    const { stdout } = await execute('/usr/bin/python3', ['-c', PYTHON_TAR, join(folder, 'a.tar')]);
    const expected = ENTRIES.map(
      ({ path, mode, body }) => `${path.replace(/\/$/, '')} 0o${mode.toString(8)} ${body.length} 0 1767225600`,
    );
    assert.deepEqual(stdout.trim().split('\n'), expected);
  });

  it('is the same each time', () => {
    assert.ok(toTar(ENTRIES).equals(toTar(ENTRIES)));
  });
});

describe('a zip archive', () => {
  it('is tested and unpacked by unzip', async (t) => {
    const folder = await makeFolder(t);
    await writeFile(join(folder, 'a.zip'), await toZip(ENTRIES));
    const { stdout } = await execute('unzip', ['-t', 'a.zip'], { cwd: folder });
    assert.match(stdout, /No errors detected/);
    await execute('unzip', ['-q', 'a.zip'], { cwd: folder });
    await assertUnpacked(folder);
  });

  it('is read by Python', async (t) => {
    const folder = await makeFolder(t);
    await writeFile(join(folder, 'a.zip'), await toZip(ENTRIES));
    const { stdout } = await execute('/usr/bin/python3', ['-c', PYTHON_ZIP, join(folder, 'a.zip')]);
    const expected = ENTRIES.map(({ path, mode, body }) => `${path} 0o${mode.toString(8)} ${body.length} 2026`);
    assert.deepEqual(stdout.trim().split('\n'), expected);
  });

  it('is the same each time', async () => {
    assert.ok((await toZip(ENTRIES)).equals(await toZip(ENTRIES)));
  });
});

const BAD_PATHS: Readonly<Record<string, string>> = {
  'one that climbs': 'top/../../etc/passwd',
  'one that begins at the root': '/etc/passwd',
  'one with a dot': './top',
  'one with nothing between two slashes': 'top//a',
  none: '',
  'one with a backslash': 'top\\a',
  'one with a NUL': 'top/a\0',
  'one that is not ASCII': 'top/ä',
  'one that is too long': `top/${'n'.repeat(MAX_PACKAGE_PATH_BYTES - 3)}`,
};

describe('a path that no archive takes', () => {
  for (const [name, path] of Object.entries(BAD_PATHS)) {
    it(name, async () => {
      assert.throws(() => toTar([toFile(path, '')]), TypeError);
      await assert.rejects(toZip([toFile(path, '')]), TypeError);
    });
  }
});
