import { constants, type KeyObject, privateDecrypt, sign, webcrypto } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';

/** What is done with RSA's private key: 300 µs each time. */
export interface RsaPrivateOperations {
  /** RSASSA-PKCS1-v1_5 (RFC 8017 §8.2); `hash` as node:crypto calls it. */
  sign(hash: string, input: Uint8Array, key: KeyObject): Promise<Buffer>;
  /**
   * What decrypts under `key` by RSAES-OAEP with SHA-1 (RFC 8017 §7.1.2), the parameters of `RSA-OAEP`.
   * @throws where the padding does not hold
   */
  createOaepDecrypt(key: KeyObject): Promise<(encrypted: Uint8Array) => Promise<Uint8Array>>;
}

/** On the thread pool: nobody else waits meanwhile, and as many run at once as there are cores. */
export const POOLED: RsaPrivateOperations = {
  sign: promisify(sign),
  createOaepDecrypt: async (key) => {
    const der = key.export({ type: 'pkcs8', format: 'der' });
    const imported = await webcrypto.subtle.importKey('pkcs8', der, { name: 'RSA-OAEP', hash: 'SHA-1' }, false, [
      'decrypt',
    ]);
    return async (encrypted) => new Uint8Array(await webcrypto.subtle.decrypt('RSA-OAEP', imported, encrypted));
  },
};

/**
 * At once. With one core alone the pool's threads take turns with the main thread, which wakes up for each result by itself: a
 * request to the issuer took 462 µs of one core by the pool, and 395 so. Who floods it with JWEs holds up everyone else's turn the longer.
 */
export const AT_ONCE: RsaPrivateOperations = {
  sign: async (hash, input, key) => sign(hash, input, key),
  createOaepDecrypt: async (key) => async (encrypted) =>
    privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }, encrypted),
};

/** Those of this process, by the cores that it may run on. */
export const RSA_PRIVATE: RsaPrivateOperations = availableParallelism() === 1 ? AT_ONCE : POOLED;
