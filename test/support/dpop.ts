import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';

import type { Json } from './assertions.ts';

/** An independent way to make DPoP proofs, exactly as asked for: nothing of `src/` is used. */

const toSegment = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A client's key and its proofs. */
export interface ProofKey {
  readonly jwk: Json;
  /** RFC 7638. */
  readonly jkt: string;
  readonly privateKey: KeyObject;
  /** A good proof, changed as asked for. */
  prove(method: string, url: string, changes?: Json, header?: Json): string;
}

/** How each algorithm makes its keys and signs. */
const KINDS = {
  ES256: { make: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }), hash: 'sha256' },
  ES384: { make: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }), hash: 'sha384' },
  ES512: { make: () => generateKeyPairSync('ec', { namedCurve: 'P-521' }), hash: 'sha512' },
  EdDSA: { make: () => generateKeyPairSync('ed25519'), hash: undefined },
  RS256: { make: () => generateKeyPairSync('rsa', { modulusLength: 2048 }), hash: 'sha256' },
  PS256: { make: () => generateKeyPairSync('rsa', { modulusLength: 2048 }), hash: 'sha256' },
} as const;

/** RFC 7638 §3.2. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n'],
};

/** A token signed as that algorithm asks for. */
export function signProof(header: Json, claims: Json, alg: keyof typeof KINDS, key: KeyObject): string {
  const input = Buffer.from(`${toSegment(header)}.${toSegment(claims)}`);
  // The PSS padding is 6, its salt as long as the hash (-1).
  const pss = alg === 'PS256' ? { padding: 6, saltLength: -1 } : {};
  const signature = sign(KINDS[alg].hash, input, { key, dsaEncoding: 'ieee-p1363', ...pss });
  return `${input.toString()}.${signature.toString('base64url')}`;
}

/** @param now - seconds since the epoch */
export function createProofKey(now: () => number, alg: keyof typeof KINDS = 'ES256'): ProofKey {
  const { publicKey, privateKey } = KINDS[alg].make();
  const jwk = publicKey.export({ format: 'jwk' }) as Json;
  const members = MEMBERS[String(jwk['kty'])] ?? [];
  const canonical = JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk[name]])));
  return {
    jwk,
    jkt: createHash('sha256').update(canonical).digest('base64url'),
    privateKey,
    prove: (method, url, changes = {}, header = {}) =>
      signProof(
        { typ: 'dpop+jwt', alg, jwk, ...header },
        { htm: method, htu: url, iat: Math.floor(now()), jti: randomUUID(), ...changes },
        alg,
        privateKey,
      ),
  };
}

/** The `ath` of a bearer. */
export function toAth(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}
