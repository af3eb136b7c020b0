import { createHmac, createSign, generateKeyPairSync, randomUUID } from 'node:crypto';

/** An independent way to make signed tokens, exactly as asked for: nothing of `src/` is used. */

const HASHES: Readonly<Record<string, string>> = { HS256: 'sha256', HS512: 'sha512', RS256: 'sha256', RS512: 'sha512' };

export type Json = Readonly<Record<string, unknown>>;

const toSegment = (value: Json | string): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A JWS over header and claims; either may be a raw JSON text. `alg` is how it is signed, whatever the header says. */
export function signToken(header: Json | string, claims: Json | string, alg: string, key: string): string {
  const input = `${toSegment(header)}.${toSegment(claims)}`;
  const hash = HASHES[alg] ?? 'sha256';
  const signature = alg.startsWith('HS')
    ? createHmac(hash, key).update(input).digest('base64url')
    : createSign(hash).update(input).sign(key, 'base64url');
  return `${input}.${signature}`;
}

/** A pair of RSA keys as PEM. */
export function createRsaPair(modulusLength = 2048): { readonly publicKey: string; readonly privateKey: string } {
  return generateKeyPairSync('rsa', {
    modulusLength,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

/** Claims of a good assertion at `now`; `changes` overrides, and takes away what it sets to undefined. */
export function createClaims(clientId: string, now: number, changes: Json = {}): Json {
  return {
    iat: Math.floor(now),
    exp: Math.floor(now) + 300,
    jti: randomUUID(),
    aud: 'https://idproxy.kore.com/authorize',
    iss: clientId,
    sub: 'alice@example.com',
    isAnonymous: false,
    ...changes,
  };
}
