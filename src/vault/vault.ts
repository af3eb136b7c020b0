import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Length of the master key, in bytes. */
export const MASTER_KEY_BYTES = 32;

/** A sealed text that cannot be opened: another master key, another context, or bytes that were changed. */
export class VaultError extends Error {
  override readonly name = 'VaultError';
}

/** Encryption at rest under one master key. */
export interface Vault {
  /** Names the master key, so that a text sealed under another one is recognised: 8 hexadecimal characters. */
  readonly keyId: string;
  /** Encrypts `text` with AES-256-GCM. `context` says what it is and whose; it must be the same at {@link Vault.open}. */
  seal(text: string, context: string): string;
  /** @throws VaultError */
  open(sealed: string, context: string): string;
  /** A 256-bit key for one purpose, always the same for the same master key (HKDF-SHA-256, RFC 5869). */
  deriveKey(purpose: string): Buffer;
}

/**
 * A vault over `masterKey`, which has {@link MASTER_KEY_BYTES} bytes.
 * @throws TypeError on a key of another length
 */
export function createVault(masterKey: Uint8Array): Vault {
  if (masterKey.length !== MASTER_KEY_BYTES) throw new TypeError(`the master key must have ${MASTER_KEY_BYTES} bytes`);
  const deriveKey = (purpose: string): Buffer =>
    Buffer.from(hkdfSync('sha256', masterKey, '', `countersign/${purpose}`, 32));
  const sealingKey = deriveKey('seal');
  const keyId = createHash('sha256').update(deriveKey('key-id')).digest('hex').slice(0, 8);
  const prefix = `v1.${keyId}.`;

  return {
    keyId,
    deriveKey,
    seal(text, context) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(CIPHER, sealingKey, iv).setAAD(Buffer.from(context));
      const body = Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return prefix + body.toString('base64url');
    },
    open(sealed, context) {
      if (!sealed.startsWith(prefix)) throw new VaultError('sealed under another master key');
      const text = sealed.slice(prefix.length);
      const body = Buffer.from(text, 'base64url');
      // Node's reader passes over what is not base64url: one sealed text has one spelling.
      if (body.length < IV_BYTES + TAG_BYTES || body.toString('base64url') !== text)
        throw new VaultError('not a sealed text');
      const decipher = createDecipheriv(CIPHER, sealingKey, body.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(context)).setAuthTag(body.subarray(-TAG_BYTES));
      try {
        return decipher.update(body.subarray(IV_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
      } catch (cause) {
        throw new VaultError('the sealed text was changed, or belongs elsewhere', { cause });
      }
    },
  };
}
