import { CompactEncrypt, importJWK, type JWK } from 'jose';

import type { Json } from './assertions.ts';

/** A JWE around any text; `alg`, `enc` and the rest of its header as asked for. */
export async function encryptText(text: string, jwk: JWK, header: Json = {}): Promise<string> {
  const full = { alg: 'RSA-OAEP', enc: 'A256GCM', ...header };
  const { kty, n, e } = jwk;
  const key = await importJWK({ kty, n, e } as JWK, full.alg);
  return new CompactEncrypt(Buffer.from(text)).setProtectedHeader(full).encrypt(key);
}
