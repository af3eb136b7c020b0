import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

import type { JweEncryption } from './algorithms.ts';

/** What an encryption makes of a text (RFC 7516 §2). */
export interface SealedContent {
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
}

/** One content encryption algorithm (RFC 7518 §5.1). */
export interface ContentEncryption {
  /** The length of its content key, in bytes. */
  readonly keyBytes: number;
  /** @param additional - what is authenticated besides: the encoded header (RFC 7516 §5.1 step 14) */
  seal(key: Uint8Array, additional: Uint8Array, plaintext: Uint8Array): SealedContent;
  /** The plaintext. Never throws on what it is given. @returns undefined on any fault, without telling which */
  open(key: Uint8Array, additional: Uint8Array, sealed: SealedContent): Buffer | undefined;
}

const TAG_BYTES = 16;

/** AES in Galois/Counter Mode (RFC 7518 §5.3). */
function createGcm(cipher: 'aes-128-gcm' | 'aes-256-gcm', keyBytes: number): ContentEncryption {
  const ivBytes = 12;
  // SECURITY: node:crypto would also take shorter tags, which can be guessed.
  const options = { authTagLength: TAG_BYTES };
  return {
    keyBytes,
    seal: (key, additional, plaintext) => {
      const iv = randomBytes(ivBytes);
      const encryption = createCipheriv(cipher, key, iv, options).setAAD(additional);
      const ciphertext = Buffer.concat([encryption.update(plaintext), encryption.final()]);
      return { iv, ciphertext, tag: encryption.getAuthTag() };
    },
    open: (key, additional, { iv, ciphertext, tag }) => {
      if (key.length !== keyBytes || iv.length !== ivBytes || tag.length !== TAG_BYTES) return undefined;
      const decryption = createDecipheriv(cipher, key, iv, options).setAAD(additional).setAuthTag(tag);
      return finish(() => Buffer.concat([decryption.update(ciphertext), decryption.final()]));
    },
  };
}

/** AES in Cipher Block Chaining with HMAC SHA-2 (RFC 7518 §5.2): the first half of the key is the MAC's. */
function createCbcHmac(cipher: 'aes-128-cbc', hash: 'sha256', keyBytes: number): ContentEncryption {
  const ivBytes = 16;
  const half = keyBytes / 2;
  const toTag = (key: Uint8Array, additional: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Buffer => {
    const additionalBits = Buffer.alloc(8);
    additionalBits.writeBigUInt64BE(BigInt(additional.length * 8));
    const mac = createHmac(hash, key.subarray(0, half)).update(additional).update(iv).update(ciphertext);
    return mac.update(additionalBits).digest().subarray(0, TAG_BYTES);
  };
  return {
    keyBytes,
    seal: (key, additional, plaintext) => {
      const iv = randomBytes(ivBytes);
      const encryption = createCipheriv(cipher, key.subarray(half), iv);
      const ciphertext = Buffer.concat([encryption.update(plaintext), encryption.final()]);
      return { iv, ciphertext, tag: toTag(key, additional, iv, ciphertext) };
    },
    open: (key, additional, { iv, ciphertext, tag }) => {
      if (key.length !== keyBytes || iv.length !== ivBytes || tag.length !== TAG_BYTES) return undefined;
      // SECURITY: the tag comes before the first block is decrypted, or the padding of CBC would be an oracle of its own.
      if (!timingSafeEqual(toTag(key, additional, iv, ciphertext), tag)) return undefined;
      const decryption = createDecipheriv(cipher, key.subarray(half), iv);
      return finish(() => Buffer.concat([decryption.update(ciphertext), decryption.final()]));
    },
  };
}

function finish(decrypt: () => Buffer): Buffer | undefined {
  try {
    return decrypt();
  } catch {
    return undefined;
  }
}

/** The content encryptions on node:crypto, for the key management that jose does not know. */
export const CONTENT_ENCRYPTIONS: Readonly<Record<JweEncryption, ContentEncryption>> = {
  'A128CBC-HS256': createCbcHmac('aes-128-cbc', 'sha256', 32),
  A128GCM: createGcm('aes-128-gcm', 16),
  A256GCM: createGcm('aes-256-gcm', 32),
};
