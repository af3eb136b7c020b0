import { createHmac, createSecretKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto';

import type { JsonObject } from '../core/json.ts';
import { findMaterialProblem } from '../core/key-material.ts';
import { findPublication } from '../core/published-secrets.ts';
import { JWS_ALGORITHMS, type JwsAlgorithm } from './algorithms.ts';
import { type CompactJws, toSegment } from './compact.ts';
import { KeyError, parseRsaPrivateKey, parseRsaPublicKey, toModulusBytes } from './jwk.ts';
import { MAX_SECRET_BYTES, MIN_SECRET_BYTES } from './limits.ts';
import { RSA_PRIVATE } from './rsa-private.ts';

/** Signs claims under one algorithm and one key. */
export interface JwsSigner {
  readonly alg: JwsAlgorithm;
  /** A JWS in compact serialization with the header `{alg, typ: "JWT"}`. */
  sign(claims: JsonObject): string | Promise<string>;
}

/** Verifies signatures under one pinned algorithm and one key. */
export interface JwsVerifier {
  readonly alg: JwsAlgorithm;
  /** Whether the token names this algorithm and its signature holds. Never throws on what a token says. */
  verify(token: CompactJws): boolean | Promise<boolean>;
}

interface Family {
  createSigner(alg: JwsAlgorithm, key: string): Promise<JwsSigner>;
  createVerifier(alg: JwsAlgorithm, key: string): Promise<JwsVerifier>;
}

/** The header of every JWS minted here. */
const toHeader = (alg: JwsAlgorithm) => ({ alg, typ: 'JWT' }) as const;

/**
 * The algorithms by what their key is. What is cheap runs on node:crypto: 3 µs to verify an HMAC against 70 to 80 µs through
 * WebCrypto, which jose uses, 23 against 47 for RSA's public key; a differential test holds the two together. RSA's private key
 * works off the main thread where there is another core.
 */
const FAMILIES: Readonly<Record<(typeof JWS_ALGORITHMS)[JwsAlgorithm]['keyType'], Family>> = {
  secret: {
    createSigner: async (alg, secret) => {
      const mac = createMac(alg, secret);
      const header = toSegment(toHeader(alg));
      return {
        alg,
        sign: (claims) => {
          const input = `${header}.${toSegment(claims)}`;
          return `${input}.${mac(input)}`;
        },
      };
    },
    createVerifier: async (alg, secret) => {
      const mac = createMac(alg, secret);
      return {
        alg,
        verify: ({ header, signingInput, signature }) => {
          const expected = Buffer.from(mac(signingInput), 'base64url');
          return header['alg'] === alg && signature.length === expected.length && timingSafeEqual(signature, expected);
        },
      };
    },
  },
  rsa: {
    createSigner: async (alg, pem) => {
      const key = parseRsaPrivateKey(pem);
      const header = toSegment(toHeader(alg));
      const { hash } = JWS_ALGORITHMS[alg];
      return {
        alg,
        sign: async (claims) => {
          const input = `${header}.${toSegment(claims)}`;
          return `${input}.${(await RSA_PRIVATE.sign(hash, Buffer.from(input), key)).toString('base64url')}`;
        },
      };
    },
    createVerifier: async (alg, pem) => {
      const key = parseRsaPublicKey(pem);
      const { hash } = JWS_ALGORITHMS[alg];
      const signatureBytes = toModulusBytes(key);
      return {
        alg,
        verify: ({ header, signingInput, signature }) =>
          header['alg'] === alg &&
          signature.length === signatureBytes &&
          verify(hash, Buffer.from(signingInput), key, signature),
      };
    },
  },
};

/**
 * A signer. `key` is the client secret as text (HS…) or an RSA private key as PEM (RS…).
 * @throws KeyError
 */
export function createJwsSigner(alg: JwsAlgorithm, key: string): Promise<JwsSigner> {
  return FAMILIES[JWS_ALGORITHMS[alg].keyType].createSigner(alg, key);
}

/**
 * A verifier. `key` is the client secret as text (HS…) or an RSA public key as PEM (RS…).
 * @throws KeyError
 */
export function createJwsVerifier(alg: JwsAlgorithm, key: string): Promise<JwsVerifier> {
  return FAMILIES[JWS_ALGORITHMS[alg].keyType].createVerifier(alg, key);
}

/**
 * A client secret as an HMAC key: the UTF-8 bytes of its text, not its decoded base64.
 * @throws KeyError when it is shorter or longer than the limits, has too little key material by its alphabet, is plainly a pattern, a
 * PEM key, or one that anyone can read
 */
export function parseClientSecret(secret: string): KeyObject {
  const bytes = Buffer.from(secret);
  if (bytes.length < MIN_SECRET_BYTES)
    throw new KeyError(`the client secret is shorter than ${MIN_SECRET_BYTES} bytes`);
  if (bytes.length > MAX_SECRET_BYTES) throw new KeyError(`the client secret is longer than ${MAX_SECRET_BYTES} bytes`);
  if (new Set(bytes).size < MIN_DISTINCT_BYTES || estimateBits(bytes) < MIN_SECRET_BITS)
    throw new KeyError('the client secret repeats a few characters');
  // SECURITY: a public key is known to everyone; as an HMAC secret it would let anyone sign.
  if (secret.includes('-----BEGIN')) throw new KeyError('the client secret is a PEM key');
  const publication = findPublication(secret);
  if (publication !== undefined)
    throw new KeyError(`the client secret is published (${publication}); make one that is random`);
  const problem = findMaterialProblem(secret);
  if (problem !== undefined) throw new KeyError(`the client secret ${problem}`);
  return createSecretKey(bytes);
}

/** 32 random bytes as base64 or hexadecimal hold fewer distinct characters than this once in more than 10^9. */
const MIN_DISTINCT_BYTES = 8;

/**
 * The least that a client secret's characters tell, in bits, by how often each comes: 32 random hexadecimal digits have more
 * than 85, "secret" repeated has 72.
 */
export const MIN_SECRET_BITS = 80;

/** The bits that each byte tells by its frequency (Shannon), taken together. */
function estimateBits(bytes: Uint8Array): number {
  const counts = new Map<number, number>();
  for (const byte of bytes) counts.set(byte, (counts.get(byte) ?? 0) + 1);
  return [...counts.values()].reduce((bits, count) => bits - count * Math.log2(count / bytes.length), 0);
}

/** A MAC as base64url: Node makes a text of a digest in half the time that a buffer takes. */
function createMac(alg: JwsAlgorithm, secret: string): (input: string) => string {
  const key = parseClientSecret(secret);
  const { hash } = JWS_ALGORITHMS[alg];
  return (input) => createHmac(hash, key).update(input).digest('base64url');
}
