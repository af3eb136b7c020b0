import assert from 'node:assert/strict';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { loadVault, MASTER_KEY_FILE } from '../../../src/vault/master-key.ts';
import { createTempFolder } from '../../support/processes.ts';

describe('the master key', () => {
  let keysDir: string;
  let path: string;
  beforeEach(async () => {
    keysDir = await createTempFolder();
    path = join(keysDir, MASTER_KEY_FILE);
  });
  afterEach(() => rm(keysDir, { recursive: true }));

  test('is made on the first run, for its owner alone, and opens what it sealed on the next', async () => {
    const first = await loadVault(keysDir);
    assert.equal(first.isNew, true);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.match(await readFile(path, 'utf8'), /^[\w-]{43}\n$/);
    const second = await loadVault(keysDir);
    assert.equal(second.isNew, false);
    assert.equal(second.vault.open(first.vault.seal('text', 'context'), 'context'), 'text');
  });

  test('two folders have two keys', async () => {
    const [first, second] = await Promise.all([loadVault(join(keysDir, 'a')), loadVault(join(keysDir, 'b'))]);
    assert.notEqual(first.vault.keyId, second.vault.keyId);
  });

  const KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => 7 * index + 5)).toString('base64url');
  for (const [name, text] of Object.entries({
    'as written': `${KEY}\n`,
    'without a line feed': KEY,
    'with CRLF': `${KEY}\r\n`,
  })) {
    test(`is taken ${name}`, async () => {
      await writeFile(path, text);
      assert.equal((await loadVault(keysDir)).isNew, false);
    });
  }

  const malformed = {
    empty: '',
    'too short': Buffer.alloc(31).toString('base64url'),
    'too long': Buffer.alloc(33).toString('base64url'),
    hexadecimal: Buffer.alloc(32, 5).toString('hex'),
    'base64 with padding': `${KEY}=`,
    'of the other base64 alphabet': Buffer.alloc(32, 255).toString('base64').replace('=', ''),
    'with stray bits at its end': `${KEY.slice(0, -1)}V`,
    'two lines': `${KEY}\n${KEY}\n`,
  };
  test('is refused when it is a pattern', async () => {
    await writeFile(path, 'A'.repeat(43));
    await assert.rejects(loadVault(keysDir), { message: `${path} repeats a few bytes; it must be random` });
  });

  for (const [name, text] of Object.entries(malformed)) {
    test(`is refused when it is ${name}, and stays as it is`, async () => {
      await writeFile(path, text);
      await assert.rejects(loadVault(keysDir), { message: `${path} must hold 32 bytes as base64url` });
      assert.equal(await readFile(path, 'utf8'), text);
    });
  }
});
