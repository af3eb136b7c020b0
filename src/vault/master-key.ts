import { join } from 'node:path';

import { createToken } from '../core/ids.ts';
import { loadOrCreateFile } from './key-file.ts';
import { createVault, MASTER_KEY_BYTES, type Vault } from './vault.ts';

/** 32 random bytes hold fewer distinct ones than this less than once in 10^20. */
const MIN_DISTINCT_BYTES = 12;

/** The file of the master key inside the keys folder. */
export const MASTER_KEY_FILE = 'master.key';

/**
 * The vault over the master key in `keysDir`, which is made on the first run.
 * @throws Error when the file does not hold 32 bytes as base64url
 */
export async function loadVault(keysDir: string): Promise<{ vault: Vault; isNew: boolean }> {
  const path = join(keysDir, MASTER_KEY_FILE);
  const { text, isNew } = await loadOrCreateFile(path, () => `${createToken(MASTER_KEY_BYTES)}\n`);
  const key = Buffer.from(text.trim(), 'base64url');
  if (key.length !== MASTER_KEY_BYTES || key.toString('base64url') !== text.trim()) {
    throw new Error(`${path} must hold ${MASTER_KEY_BYTES} bytes as base64url`);
  }
  if (new Set(key).size < MIN_DISTINCT_BYTES) throw new Error(`${path} repeats a few bytes; it must be random`);
  return { vault: createVault(key), isNew };
}
