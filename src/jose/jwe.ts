import { constants, type KeyObject, publicEncrypt, randomBytes } from 'node:crypto';

import { errors } from 'jose';

import type { JweAlgorithm, JweEncryption } from './algorithms.ts';
import { parseCompact, toSegment } from './compact.ts';
import { CONTENT_ENCRYPTIONS } from './content-encryption.ts';
import {
  KeyError,
  parseRsaPrivateKey,
  parseRsaPublicKey,
  type RsaPublicJwk,
  toModulusBytes,
  toPublicJwk,
} from './jwk.ts';
import { RSA_PRIVATE } from './rsa-private.ts';
import { unwrapRsa15, wrapRsa15 } from './rsa15.ts';
import { TokenError } from './token-error.ts';

/** Which algorithms a JWE may bear. */
export interface JwePolicy {
  readonly algs: readonly JweAlgorithm[];
  readonly encs: readonly JweEncryption[];
}

/** Encrypts for one recipient. */
export interface JweEncrypter {
  /** A nested JWE around a signed token, header `{alg, enc, kid, typ: "JWT", cty: "JWT"}` (RFC 7519 §5.2). */
  encrypt(jws: string): string;
}

/** One private key that tokens are encrypted for. */
export interface JweDecrypter {
  readonly kid: string;
  /** What producers of JWEs need. */
  readonly jwk: RsaPublicJwk & { readonly kid: string; readonly use: 'enc' };
  /**
   * The plaintext. A content key that cannot be unwrapped is replaced by a random one (RFC 7516 §11.5), so that only
   * the authentication tag tells.
   * @throws JWEDecryptionFailed on any fault of the token, without telling which
   */
  decrypt(token: string, policy: JwePolicy): Promise<string>;
}

/** One way to manage content keys (RFC 7518 §4.1). */
interface KeyManagement {
  /** The content key, encrypted. */
  wrap(key: KeyObject, contentKey: Uint8Array): Uint8Array;
  /**
   * What unwraps content keys of `keyBytes` bytes.
   * SECURITY: on any fault it gives a random one of that length, so that only the authentication tag tells.
   */
  createUnwrap(key: KeyObject): Promise<(encryptedKey: Uint8Array, keyBytes: number) => Promise<Uint8Array>>;
}

/**
 * RSA-OAEP's private operation runs off the main thread where there is another core; Node offers the raw one that RSA1_5 needs on the
 * main thread only. The content is decrypted on node:crypto either way: jose's three hops to other threads took 100 µs of 400. jose is the
 * reference that a differential test holds this to.
 */
const KEY_MANAGEMENT: Readonly<Record<JweAlgorithm, KeyManagement>> = {
  'RSA-OAEP': {
    wrap: (key, contentKey) =>
      publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }, contentKey),
    createUnwrap: async (privateKey) => {
      const decrypt = await RSA_PRIVATE.createOaepDecrypt(privateKey);
      const modulusBytes = toModulusBytes(privateKey);
      return async (encryptedKey, keyBytes) => {
        const substitute = randomBytes(keyBytes);
        // SECURITY: one spelling only. OpenSSL would also take an encrypted key whose leading zeros were cut off (RFC 8017 §7.1.2).
        if (encryptedKey.length !== modulusBytes) return substitute;
        try {
          return await decrypt(encryptedKey);
        } catch {
          return substitute;
        }
      };
    },
  },
  RSA1_5: {
    wrap: wrapRsa15,
    createUnwrap: async (key) => async (encryptedKey, keyBytes) => unwrapRsa15(key, encryptedKey, keyBytes),
  },
};

/**
 * @throws KeyError when `jwk` is not an RSA public key with a `kid`
 */
export async function createJweEncrypter(
  jwk: RsaPublicJwk,
  alg: JweAlgorithm,
  enc: JweEncryption,
): Promise<JweEncrypter> {
  const { kid } = jwk;
  if (typeof kid !== 'string' || kid === '') throw new KeyError('the platform key has no "kid"');
  const key = parseRsaPublicKey({ ...jwk });
  const { keyBytes, seal } = CONTENT_ENCRYPTIONS[enc];
  const encodedHeader = toSegment({ alg, enc, kid, typ: 'JWT', cty: 'JWT' });
  const additional = Buffer.from(encodedHeader);
  return {
    encrypt: (jws) => {
      const contentKey = randomBytes(keyBytes);
      const { iv, ciphertext, tag } = seal(contentKey, additional, Buffer.from(jws));
      const parts = [KEY_MANAGEMENT[alg].wrap(key, contentKey), iv, ciphertext, tag];
      return [encodedHeader, ...parts.map((part) => Buffer.from(part).toString('base64url'))].join('.');
    },
  };
}

/**
 * @throws KeyError when `pem` is not an RSA private key
 */
export async function createJweDecrypter(kid: string, pem: string): Promise<JweDecrypter> {
  const key = parseRsaPrivateKey(pem);
  const unwrap = {
    'RSA-OAEP': await KEY_MANAGEMENT['RSA-OAEP'].createUnwrap(key),
    RSA1_5: await KEY_MANAGEMENT.RSA1_5.createUnwrap(key),
  } satisfies Record<JweAlgorithm, unknown>;
  return {
    kid,
    jwk: { ...toPublicJwk(key), kid, use: 'enc' },
    decrypt: async (token, { algs, encs }) => {
      const { alg, enc, segments } = takeApart(token, algs, encs);
      const [encodedHeader = '', ...rest] = segments;
      const [encryptedKey, iv, ciphertext, tag] = rest.map((segment) => Buffer.from(segment, 'base64url'));
      if (!encryptedKey || !iv || !ciphertext || !tag) throw new errors.JWEDecryptionFailed();
      const { keyBytes, open } = CONTENT_ENCRYPTIONS[enc];
      const contentKey = await unwrap[alg](encryptedKey, keyBytes);
      const plaintext = open(contentKey, Buffer.from(encodedHeader), { iv, ciphertext, tag });
      if (plaintext === undefined) throw new errors.JWEDecryptionFailed();
      return plaintext.toString('latin1');
    },
  };
}

/** @throws JWEDecryptionFailed */
function takeApart(
  token: string,
  algs: readonly JweAlgorithm[],
  encs: readonly JweEncryption[],
): { readonly alg: JweAlgorithm; readonly enc: JweEncryption; readonly segments: readonly string[] } {
  try {
    const { header } = parseCompact(token);
    const alg = algs.find((allowed) => allowed === header['alg']);
    const enc = encs.find((allowed) => allowed === header['enc']);
    if (alg !== undefined && enc !== undefined) return { alg, enc, segments: token.split('.') };
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
  }
  throw new errors.JWEDecryptionFailed();
}
