import { CompactEncrypt, compactDecrypt, type CryptoKey, importJWK, importPKCS8 } from 'jose';

import type { JweAlgorithm, JweEncryption } from './algorithms.ts';
import { KeyError, parseRsaPrivateKey, parseRsaPublicKey, type RsaPublicJwk, toPublicJwk } from './jwk.ts';

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
   * @throws JOSEError on any fault, without telling which
   */
  decrypt(token: string, policy: JwePolicy): Promise<string>;
}

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
  const key = await importJWK({ ...toPublicJwk(parseRsaPublicKey({ ...jwk })) }, alg);
  const header = { alg, enc, kid, typ: 'JWT', cty: 'JWT' };
  return {
    encrypt: (jws) => new CompactEncrypt(Buffer.from(jws)).setProtectedHeader(header).encrypt(key),
  };
}

/**
 * @throws KeyError when `pem` is not an RSA private key
 */
export async function createJweDecrypter(kid: string, pem: string): Promise<JweDecrypter> {
  const parsed = parseRsaPrivateKey(pem);
  const key: CryptoKey = await importPKCS8(parsed.export({ type: 'pkcs8', format: 'pem' }) as string, 'RSA-OAEP');
  return {
    kid,
    jwk: { ...toPublicJwk(parsed), kid, use: 'enc' },
    decrypt: async (token, { algs, encs }) => {
      const { plaintext } = await compactDecrypt(token, key, {
        keyManagementAlgorithms: [...algs],
        contentEncryptionAlgorithms: [...encs],
      });
      return Buffer.from(plaintext).toString('latin1');
    },
  };
}
