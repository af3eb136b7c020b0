import { join } from 'node:path';

import { createToken } from '../core/ids.ts';
import { isHashOf, type Secret, sha256Hex } from '../core/secret.ts';
import { loadOrCreateFile } from '../vault/key-file.ts';

/** The file of the admin token's hash inside the keys folder. */
export const ADMIN_TOKEN_FILE = 'admin-token.sha256';
/** Random bytes of an admin token that is made here. */
const ADMIN_TOKEN_BYTES = 32;

/** Whether a text is the admin token, in constant time. */
export type AdminCheck = (token: string) => boolean;

/**
 * The admin token: the configured one, or one that the first run makes and whose hash it keeps in `keysDir`.
 * @returns `made` only where this call made it: show it now, it is kept nowhere
 */
export async function loadAdminToken(
  keysDir: string,
  configured: Secret | undefined,
): Promise<{ isAdmin: AdminCheck; made?: string }> {
  if (configured) {
    const hash = sha256Hex(configured.reveal());
    return { isAdmin: (token) => isHashOf(token, hash) };
  }
  const made = createToken(ADMIN_TOKEN_BYTES);
  const { text, isNew } = await loadOrCreateFile(join(keysDir, ADMIN_TOKEN_FILE), () => `${sha256Hex(made)}\n`);
  const hash = text.trim();
  if (!/^[0-9a-f]{64}$/.test(hash))
    throw new Error(`${join(keysDir, ADMIN_TOKEN_FILE)} must hold a SHA-256 in hexadecimal`);
  return { isAdmin: (token) => isHashOf(token, hash), ...(isNew && { made }) };
}
