import { constants, type KeyObject, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto';

import { toModulusBytes } from './jwk.ts';

/**
 * RSAES-PKCS1-v1_5 around a content key (RFC 7518 §4.2, RFC 8017 §7.2).
 *
 * A padded block is 00 02, at least eight bytes that are not zero, 00, the content key. Whoever learns of a ciphertext
 * whether its block is padded like that can decrypt every other one by asking often enough (Bleichenbacher 1998).
 * So nobody learns it here: a block with any fault yields a random content key (RFC 7516 §11.5, RFC 3218 §2.3.2), under
 * which the content's tag then fails as it does for any wrong key.
 *
 * What depends on the block runs over all of it, branches on none of its bytes and uses none as an index. Node promises
 * no constant time for JavaScript; the raw RSA operation is OpenSSL's, blinded. docs/decisions/0015-rsa1_5.md weighs
 * what that leaves.
 */

/** The content key, encrypted: as long as the modulus. */
export function wrapRsa15(key: KeyObject, contentKey: Uint8Array): Buffer {
  return publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, contentKey);
}

/**
 * The content key of `keyBytes` bytes that was encrypted, or a random one of that length on any fault. Never throws on
 * what it is given, and tells nobody which of the two it is.
 * @param key - an RSA private key
 * @param keyBytes - what the content encryption needs, so that the place of the delimiter is known beforehand
 */
export function unwrapRsa15(key: KeyObject, encryptedKey: Uint8Array, keyBytes: number): Uint8Array {
  // SECURITY: drawn whether it is needed or not.
  const substitute = randomBytes(keyBytes);
  const block = decryptBlock(key, encryptedKey);
  const delimiter = block.length - keyBytes - 1;

  // SECURITY: every fault is gathered in one number from 0 to 255. No `if`, `===`, `?:`, `&&`, `indexOf` or early return on it.
  let fault = block.readUInt8(0) | (block.readUInt8(1) ^ 2) | block.readUInt8(delimiter);
  for (const byte of block.subarray(2, delimiter)) fault |= (byte - 1) >>> 31;

  // All ones where there is a fault, else zero. `0 - fault`, since `-fault` would be the float -0 for the good case alone.
  const mask = (0 - fault) >> 31;
  return substitute.map((random, index) => (random & mask) | (block.readUInt8(delimiter + 1 + index) & ~mask));
}

/**
 * The block that was encrypted, as long as the modulus; zeros, which are no padding, where there is none. That depends only on what
 * the sender knows anyway: the length of the ciphertext, and whether it is less than the modulus.
 */
function decryptBlock(key: KeyObject, encryptedKey: Uint8Array): Buffer {
  const modulusBytes = toModulusBytes(key);
  const none = Buffer.alloc(modulusBytes);
  if (encryptedKey.length !== modulusBytes) return none;
  try {
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, encryptedKey);
  } catch {
    return none;
  }
}
