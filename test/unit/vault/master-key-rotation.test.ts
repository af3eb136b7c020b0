import assert from 'node:assert/strict';
import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';

import {
  changeMasterKeys,
  loadVault,
  MASTER_KEY_CHECK_MS,
  MASTER_KEY_FILE,
  readMasterKeys,
  UNKNOWN_KEY_CHECK_MS,
} from '../../../src/vault/master-key.ts';
import {
  activateNextKey,
  addNextKey,
  createMasterKeyText,
  dropKey,
  type MasterKeySet,
} from '../../../src/vault/master-key-set.ts';
import { reseal, toSealedPrefix, type Vault } from '../../../src/vault/vault.ts';
import { createTempFolder } from '../../support/processes.ts';

const NOW = 1_800_000_000;

describe('rotation of the master key', () => {
  let keysDir: string;
  let path: string;
  beforeEach(async () => {
    keysDir = await createTempFolder();
    path = join(keysDir, MASTER_KEY_FILE);
  });
  afterEach(() => rm(keysDir, { recursive: true }));

  const rotate = (): Promise<MasterKeySet> => changeMasterKeys(keysDir, (set) => addNextKey(set, NOW));
  const activate = (): Promise<MasterKeySet> => changeMasterKeys(keysDir, (set) => activateNextKey(set, NOW));
  const drop = (id: string): Promise<MasterKeySet> => changeMasterKeys(keysDir, (set) => dropKey(set, id));
  const states = async (): Promise<string[]> => (await readMasterKeys(keysDir)).keys.map(({ state }) => state);

  /** A process that uses the file, with its own time. */
  async function startProcess(): Promise<{ vault: Vault; problems: string[]; pass: (ms: number) => void }> {
    let now = 0;
    const problems: string[] = [];
    const onProblem = (detail: string): void => void problems.push(detail);
    const { vault } = await loadVault(keysDir, { onProblem, monotonicMs: () => now });
    return { vault, problems, pass: (ms) => (now += ms) };
  }

  test('a next key opens and does not seal, an active one seals, a former one opens, a dropped one is gone', async () => {
    const { vault: first } = await startProcess();
    const [old, userId] = [first.seal('old', 'c'), first.deriveKey('user-id')];
    await rotate();
    assert.deepEqual(await states(), ['active', 'next']);
    assert.equal((await startProcess()).vault.keyId, first.keyId);
    await activate();
    assert.deepEqual(await states(), ['former', 'active']);
    const { vault: second } = await startProcess();
    assert.notEqual(second.keyId, first.keyId);
    assert.equal(second.open(old, 'c'), 'old');
    const fresh = reseal(second, old, 'c');
    assert.ok(fresh.startsWith(toSealedPrefix(second.keyId)));
    assert.equal(reseal(second, fresh, 'c'), fresh);
    await drop(first.keyId);
    const { vault: third } = await startProcess();
    assert.equal(third.open(fresh, 'c'), 'old');
    assert.throws(() => third.open(old, 'c'), { name: 'VaultError', message: 'sealed under another master key' });
    for (const vault of [second, third]) assert.deepEqual(vault.deriveKey('user-id'), userId);
    for (const purpose of ['bearer', 'seal'])
      assert.notDeepEqual(third.deriveKey(purpose), first.deriveKey(purpose), purpose);
  });

  test('the file is for its owner alone, whole at every time, and of the former form as long as the first key is alone', async () => {
    await startProcess();
    const original = await readFile(path, 'utf8');
    const { keys } = await rotate();
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(keysDir), [MASTER_KEY_FILE]);
    await drop(keys[1]?.id ?? '');
    assert.equal(await readFile(path, 'utf8'), original);
    await rotate();
    await activate();
    await drop(keys[0]?.id ?? '');
    // One key again, but another one than the first: a version that would derive other user ids from it cannot read it.
    assert.equal((await readMasterKeys(keysDir)).keys.length, 1);
    assert.match(await readFile(path, 'utf8'), /^\{/);
  });

  test('what cannot be done is said, and changes nothing', async () => {
    const { vault } = await startProcess();
    await assert.rejects(activate(), { name: 'MasterKeyError', message: 'there is no next key: rotate first' });
    await assert.rejects(drop(vault.keyId), /is the one that seals/);
    await assert.rejects(drop('00000000'), /no master key of this id/);
    await rotate();
    const before = await readFile(path, 'utf8');
    await assert.rejects(rotate(), /is next already/);
    assert.equal(await readFile(path, 'utf8'), before);
    assert.deepEqual(await readdir(keysDir), [MASTER_KEY_FILE]);
    await writeFile(`${path}.lock`, '');
    await assert.rejects(activate(), {
      message: `another command changes the master keys; if none does, remove ${path}.lock`,
    });
    assert.equal(await readFile(path, 'utf8'), before);
  });

  test('of many changes at once each is whole, and none is lost', async () => {
    await startProcess();
    const all = await Promise.allSettled(Array.from({ length: 20 }, rotate));
    assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.deepEqual(await states(), ['active', 'next']);
  });

  test('a running process seals under the new key once the file says so', async () => {
    const running = await startProcess();
    const first = running.vault.keyId;
    await rotate();
    await activate();
    running.pass(MASTER_KEY_CHECK_MS - 1);
    assert.ok(running.vault.seal('x', 'c').startsWith(toSealedPrefix(first)));
    running.pass(1);
    const sealed = running.vault.seal('x', 'c');
    assert.ok(!sealed.startsWith(toSealedPrefix(first)));
    assert.equal((await startProcess()).vault.open(sealed, 'c'), 'x');
  });

  test('a running process that meets a text of an unknown key reads the file at once, but not for every such text', async () => {
    const running = await startProcess();
    await rotate();
    await activate();
    const other = await startProcess();
    const sealed = other.vault.seal('x', 'c');
    assert.equal(running.vault.open(sealed, 'c'), 'x');
    await rotate();
    await activate();
    const again = (await startProcess()).vault.seal('y', 'c');
    assert.throws(() => running.vault.open(again, 'c'), { name: 'VaultError' });
    running.pass(UNKNOWN_KEY_CHECK_MS);
    assert.equal(running.vault.open(again, 'c'), 'y');
    assert.deepEqual(running.problems, []);
  });

  const otherFiles: Record<string, [string, RegExp]> = {
    'of another installation': [createMasterKeyText(), /holds keys of another installation/],
    'half written': ['{"version":2,"keys":[', /is not a file of master keys/],
    empty: ['', /must hold 32 bytes/],
  };
  for (const [name, [text, problem]] of Object.entries(otherFiles)) {
    test(`a running process does not take a file that is ${name}, and says so once`, async () => {
      const running = await startProcess();
      const { keyId } = running.vault;
      await writeFile(path, text);
      for (let look = 0; look < 3; look++) {
        running.pass(MASTER_KEY_CHECK_MS);
        assert.equal(running.vault.keyId, keyId);
        assert.throws(() => running.vault.open('v1.00000000.AAAA', 'c'), { name: 'VaultError' });
      }
      assert.equal(running.problems.length, 1);
      assert.match(running.problems[0] ?? '', problem);
    });
  }

  test('a file that is gone or unreadable changes nothing for who runs', async () => {
    const running = await startProcess();
    const { keyId } = running.vault;
    await rm(path);
    running.pass(MASTER_KEY_CHECK_MS);
    assert.equal(running.vault.keyId, keyId);
    assert.match(running.problems.join(), /cannot be read; the former master keys stay in use/);
    assert.deepEqual(await readdir(keysDir), []);
  });

  describe('a file of several keys', () => {
    type Stored = { version: number; keys: Record<string, unknown>[]; stable: Record<string, string> };
    const cases: Record<string, (file: Stored) => unknown> = {
      'of another version': (file) => ({ ...file, version: 3 }),
      'without keys': (file) => ({ ...file, keys: [] }),
      'without the stable keys': ({ stable: _, ...file }) => file,
      'without one of the stable keys': (file) => ({ ...file, stable: {} }),
      'with a stable key that is cut': (file) => ({ ...file, stable: { 'user-id': 'AAAA' } }),
      'with a stable key of no purpose': (file) => ({ ...file, stable: { ...file.stable, more: 'AAAA' } }),
      'with two active keys': (file) => ({ ...file, keys: file.keys.map((key) => ({ ...key, state: 'active' })) }),
      'with no active key': (file) => ({ ...file, keys: file.keys.map((key) => ({ ...key, state: 'former' })) }),
      'with two next keys': (file) => ({ ...file, keys: file.keys.map((key) => ({ ...key, state: 'next' })) }),
      'with a key twice': (file) => ({ ...file, keys: [...file.keys, { ...file.keys[0], state: 'former' }] }),
      'with an id of another key': (file) => ({
        ...file,
        keys: [file.keys[0], { ...file.keys[1], id: file.keys[0]?.['id'] }],
      }),
      'with a pattern for a key': (file) => ({
        ...file,
        keys: [file.keys[0], { ...file.keys[1], key: 'A'.repeat(43) }],
      }),
      'with a member that is unknown': (file) => ({ ...file, more: true }),
    };
    for (const [name, change] of Object.entries(cases)) {
      test(`is refused ${name}, without a word of a key`, async () => {
        await startProcess();
        await rotate();
        const file = JSON.parse(await readFile(path, 'utf8')) as Stored;
        await writeFile(path, JSON.stringify(change(file)));
        await assert.rejects(loadVault(keysDir), (error: Error) => {
          assert.equal(error.name, 'MasterKeyError');
          for (const { key } of file.keys) assert.ok(!error.message.includes(String(key)));
          return true;
        });
      });
    }
    test('is taken as it was written', async () => {
      await startProcess();
      await rotate();
      await chmod(path, 0o400);
      assert.equal((await loadVault(keysDir)).isNew, false);
    });
  });
});
