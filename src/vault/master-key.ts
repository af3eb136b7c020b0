import { readFileSync, statSync } from 'node:fs';
import { readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { isCode, loadOrCreateFile, OWNER_ONLY_FILE, replaceFile } from './key-file.ts';
import {
  createMasterKeyText,
  isSameRoot,
  MasterKeyError,
  type MasterKeySet,
  parseMasterKeys,
  toMasterKeyText,
  toVaultKeys,
} from './master-key-set.ts';
import { createVault, type Vault, type VaultKeySource } from './vault.ts';

/** The file of the master keys inside the keys folder. */
export const MASTER_KEY_FILE = 'master.key';
/** How often a process that seals or opens looks whether the file was replaced, in milliseconds. */
export const MASTER_KEY_CHECK_MS = 5_000;
/** How often at most the file is read because a text was sealed under an unknown key, in milliseconds. */
export const UNKNOWN_KEY_CHECK_MS = 1_000;

export interface LoadVaultDeps {
  /** Told of a file that replaced the master keys and is not taken. */
  readonly onProblem?: (detail: string) => void;
  /** Time that nobody can set, in milliseconds. */
  readonly monotonicMs?: () => number;
}

/**
 * The vault over the master keys in `keysDir`; the first run makes one. It follows the file: keys that are added to it are used
 * without a restart.
 * @throws MasterKeyError when the file does not hold master keys
 */
export async function loadVault(keysDir: string, deps: LoadVaultDeps = {}): Promise<{ vault: Vault; isNew: boolean }> {
  const path = join(keysDir, MASTER_KEY_FILE);
  const { text, isNew } = await loadOrCreateFile(path, createMasterKeyText);
  return { vault: createVault(followFile(path, parseMasterKeys(text, path), deps)), isNew };
}

/** The master keys as the file has them now. @throws MasterKeyError */
export async function readMasterKeys(keysDir: string): Promise<MasterKeySet> {
  const path = join(keysDir, MASTER_KEY_FILE);
  const { text } = await loadOrCreateFile(path, createMasterKeyText);
  return parseMasterKeys(text, path);
}

/**
 * Replaces the file, whole or not at all, by what `change` makes of it.
 * SECURITY: one change at a time. Two at once could drop a key that something was sealed under already.
 * @throws MasterKeyError
 */
export async function changeMasterKeys(
  keysDir: string,
  change: (set: MasterKeySet) => MasterKeySet,
): Promise<MasterKeySet> {
  const path = join(keysDir, MASTER_KEY_FILE);
  const lock = `${path}.lock`;
  try {
    await writeFile(lock, '', { mode: OWNER_ONLY_FILE, flag: 'wx' });
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
    throw new MasterKeyError(`another command changes the master keys; if none does, remove ${lock}`);
  }
  try {
    const changed = change(parseMasterKeys(await readFile(path, 'utf8'), path));
    const text = toMasterKeyText(changed);
    // What cannot be read back is not written.
    parseMasterKeys(text, path);
    await replaceFile(path, text);
    return changed;
  } finally {
    await unlink(lock);
  }
}

/** The keys of a file, looked at now and then while they are used. A file that cannot be taken changes nothing. */
function followFile(path: string, first: MasterKeySet, deps: LoadVaultDeps): VaultKeySource {
  const { onProblem = () => undefined, monotonicMs = () => performance.now() } = deps;
  let current = toVaultKeys(first);
  /** Unknown at first: the file may have been replaced since it was read. */
  let stamp: string | undefined;
  let checkedAtMs = monotonicMs();
  let renewedAtMs = -Infinity;
  let problem: string | undefined;

  const read = (): void => {
    try {
      const set = parseMasterKeys(readFileSync(path, 'utf8'), path);
      // SECURITY: keys of another installation are not taken: what would be sealed under them could not be opened elsewhere.
      if (!isSameRoot(set.stable, first.stable)) throw new MasterKeyError(`${path} holds keys of another installation`);
      current = toVaultKeys(set);
      problem = undefined;
    } catch (error) {
      const found = error instanceof MasterKeyError ? error.message : `${path} cannot be read`;
      if (found !== problem) onProblem(`${found}; the former master keys stay in use`);
      problem = found;
    }
  };

  return {
    current: () => {
      const now = monotonicMs();
      if (now - checkedAtMs < MASTER_KEY_CHECK_MS) return current;
      checkedAtMs = now;
      const found = readStamp(path);
      if (found === undefined || found !== stamp) read();
      stamp = found;
      return current;
    },
    renew: () => {
      const now = monotonicMs();
      if (now - renewedAtMs < UNKNOWN_KEY_CHECK_MS) return current;
      renewedAtMs = now;
      stamp = readStamp(path);
      read();
      return current;
    },
  };
}

/** Tells one state of a file from another. @returns undefined where it cannot be looked at */
function readStamp(path: string): string | undefined {
  try {
    const { ino, mtimeMs, size } = statSync(path);
    return `${ino}.${mtimeMs}.${size}`;
  } catch {
    return undefined;
  }
}
