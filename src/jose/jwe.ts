import { type KeyObject, randomBytes } from 'node:crypto';

import { CompactEncrypt, compactDecrypt, errors, importJWK, importPKCS8 } from 'jose';

import type { JsonObject } from '../core/json.ts';
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
  encrypt(jws: string): Promise<string>;
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

interface JweHeader extends JsonObject {
  readonly alg: JweAlgorithm;
  readonly enc: JweEncryption;
}

/** One way to manage content keys, and the whole JWE around it. */
interface Family {
  createEncrypter(key: KeyObject, header: JweHeader): Promise<JweEncrypter>;
  /** What it returns decrypts a token that has this `enc`. */
  createDecrypter(key: KeyObject): Promise<(token: string, enc: JweEncryption) => Promise<Uint8Array>>;
}

/** RSA-OAEP runs on jose, off the main thread. jose does not know RSA1_5, and Node offers its raw operation on the main thread only. */
const FAMILIES: Readonly<Record<JweAlgorithm, Family>> = {
  'RSA-OAEP': {
    createEncrypter: async (publicKey, header) => {
      const key = await importJWK({ ...toPublicJwk(publicKey) }, 'RSA-OAEP');
      return { encrypt: (jws) => new CompactEncrypt(Buffer.from(jws)).setProtectedHeader(header).encrypt(key) };
    },
    createDecrypter: async (privateKey) => {
      const key = await importPKCS8(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, 'RSA-OAEP');
      const encodedKeyLength = Math.ceil((toModulusBytes(privateKey) * 4) / 3);
      return async (token, enc) => {
        // SECURITY: one spelling only. OpenSSL would also take an encrypted key whose leading zeros were cut off (RFC 8017 §7.1.2).
        if (token.split('.', 2)[1]?.length !== encodedKeyLength) throw new errors.JWEDecryptionFailed();
        const policy = { keyManagementAlgorithms: ['RSA-OAEP'], contentEncryptionAlgorithms: [enc] };
        return (await compactDecrypt(token, key, policy)).plaintext;
      };
    },
  },
  RSA1_5: {
    createEncrypter: async (key, header) => {
      const { keyBytes, seal } = CONTENT_ENCRYPTIONS[header.enc];
      const encodedHeader = toSegment(header);
      return {
        encrypt: async (jws) => {
          const contentKey = randomBytes(keyBytes);
          const { iv, ciphertext, tag } = seal(contentKey, Buffer.from(encodedHeader), Buffer.from(jws));
          const parts = [wrapRsa15(key, contentKey), iv, ciphertext, tag];
          return [encodedHeader, ...parts.map((part) => Buffer.from(part).toString('base64url'))].join('.');
        },
      };
    },
    createDecrypter: async (key) => async (token, enc) => {
      const { keyBytes, open } = CONTENT_ENCRYPTIONS[enc];
      const [encodedHeader = '', ...segments] = token.split('.');
      const [encryptedKey, iv, ciphertext, tag] = segments.map((segment) => Buffer.from(segment, 'base64url'));
      if (!encryptedKey || !iv || !ciphertext || !tag) throw new errors.JWEDecryptionFailed();
      const contentKey = unwrapRsa15(key, encryptedKey, keyBytes);
      const plaintext = open(contentKey, Buffer.from(encodedHeader), { iv, ciphertext, tag });
      if (plaintext === undefined) throw new errors.JWEDecryptionFailed();
      return plaintext;
    },
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
  return FAMILIES[alg].createEncrypter(parseRsaPublicKey({ ...jwk }), { alg, enc, kid, typ: 'JWT', cty: 'JWT' });
}

/**
 * @throws KeyError when `pem` is not an RSA private key
 */
export async function createJweDecrypter(kid: string, pem: string): Promise<JweDecrypter> {
  const key = parseRsaPrivateKey(pem);
  const decrypters = {
    'RSA-OAEP': await FAMILIES['RSA-OAEP'].createDecrypter(key),
    RSA1_5: await FAMILIES.RSA1_5.createDecrypter(key),
  } satisfies Record<JweAlgorithm, unknown>;
  return {
    kid,
    jwk: { ...toPublicJwk(key), kid, use: 'enc' },
    decrypt: async (token, { algs, encs }) => {
      try {
        const { header } = parseCompact(token);
        const alg = algs.find((allowed) => allowed === header['alg']);
        const enc = encs.find((allowed) => allowed === header['enc']);
        if (alg === undefined || enc === undefined) throw new errors.JWEDecryptionFailed();
        return Buffer.from(await decrypters[alg](token, enc)).toString('latin1');
      } catch (error) {
        if (error instanceof errors.JOSEError || error instanceof TokenError) throw new errors.JWEDecryptionFailed();
        throw error;
      }
    },
  };
}
