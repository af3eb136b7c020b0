import { CompactEncrypt, importJWK, type JWK } from 'jose';

import type { Json } from './assertions.ts';

/** A JWE around any text; `alg`, `enc` and the rest of its header as asked for. */
export async function encryptText(text: string, jwk: JWK, header: Json = {}): Promise<string> {
  const full = { alg: 'RSA-OAEP', enc: 'A256GCM', ...header };
  const key = await importJWK({ kty: jwk.kty as string, n: jwk.n as string, e: jwk.e as string } as JWK, full.alg as string);
  return new CompactEncrypt(Buffer.from(text)).setProtectedHeader(full).encrypt(key);
}
