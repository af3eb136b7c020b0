import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { ADMIN_TOKEN_FILE, loadAdminToken } from '../../../src/apps/admin-token.ts';
import { Secret, sha256Hex } from '../../../src/core/secret.ts';
import { createTempFolder } from '../../support/processes.ts';

async function makeFolder(t: TestContext): Promise<string> {
  const folder = await createTempFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'keys');
}

describe('the admin token', () => {
  it('is the configured one, and no file is made', async (t) => {
    const folder = await makeFolder(t);
    const { isAdmin, made } = await loadAdminToken(folder, new Secret('configured'));
    assert.equal(made, undefined);
    assert.deepEqual(
      [isAdmin('configured'), isAdmin('Configured'), isAdmin(''), isAdmin(sha256Hex('configured'))],
      [true, false, false, false],
    );
    await assert.rejects(readdir(folder), { code: 'ENOENT' });
  });

  it('is made once, and only its hash is kept', async (t) => {
    const folder = await makeFolder(t);
    const first = await loadAdminToken(folder, undefined);
    const token = first.made ?? '';
    assert.match(token, /^[\w-]{43}$/);
    const path = join(folder, ADMIN_TOKEN_FILE);
    const text = await readFile(path, 'utf8');
    assert.equal(text, `${sha256Hex(token)}\n`);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const second = await loadAdminToken(folder, undefined);
    assert.equal(second.made, undefined);
    for (const { isAdmin } of [first, second])
      assert.deepEqual([isAdmin(token), isAdmin(text.trim()), isAdmin('')], [true, false, false]);
  });

  it('of many that start at once is one', async (t) => {
    const folder = await makeFolder(t);
    const loaded = await Promise.all(Array.from({ length: 8 }, () => loadAdminToken(folder, undefined)));
    const made = loaded.flatMap((one) => one.made ?? []);
    assert.equal(made.length, 1);
    assert.ok(loaded.every(({ isAdmin }) => isAdmin(made[0] ?? '')));
  });

  it('is refused where the file holds something else', async (t) => {
    const folder = await makeFolder(t);
    await loadAdminToken(folder, undefined);
    for (const text of ['', 'a token in clear\n', sha256Hex('x').toUpperCase()]) {
      await writeFile(join(folder, ADMIN_TOKEN_FILE), text);
      await assert.rejects(loadAdminToken(folder, undefined), /must hold a SHA-256 in hexadecimal$/);
    }
  });
});
