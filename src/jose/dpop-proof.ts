import { createPublicKey, type KeyObject, type VerifyKeyObjectInput, constants, verify } from 'node:crypto';
import { promisify } from 'node:util';

import { calculateJwkThumbprint } from 'jose';

import { isJsonObject, type JsonObject } from '../core/json.ts';
import { isUnfitForName } from '../core/name.ts';
import { parseCompact } from './compact.ts';
import { KeyError, parseRsaPublicKey } from './jwk.ts';
import { MAX_AUDIENCE_LENGTH, MAX_NAME_LENGTH } from './limits.ts';
import { TokenError } from './token-error.ts';

/** A DPoP proof, in bytes: room for one by an RSA key of 8192 bits. */
export const MAX_DPOP_PROOF_BYTES = 6_144;

/** What an algorithm needs of its key, and how node:crypto verifies it. */
interface ProofAlgorithm {
  readonly kty: 'EC' | 'RSA' | 'OKP';
  /** Of elliptic curves. */
  readonly crv?: string;
  /** Absent where the algorithm has its own. */
  readonly hash?: string;
  readonly options?: Omit<VerifyKeyObjectInput, 'key'>;
}

// RFC 7518 §3.4: the two numbers side by side, not in DER.
const P1363 = { dsaEncoding: 'ieee-p1363' } as const;
const PKCS1 = { padding: constants.RSA_PKCS1_PADDING } as const;
// RFC 7518 §3.5: the salt has the length of the hash.
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } as const;

/**
 * The signature algorithms of proofs; asymmetric ones alone (RFC 9449 §4.2). They run on node:crypto: WebCrypto, which jose
 * uses, says on Node 20 that its Ed25519 is experimental. A differential test holds the two together.
 */
const PROOF_ALGORITHMS: Readonly<Record<string, ProofAlgorithm>> = {
  ES256: { kty: 'EC', crv: 'P-256', hash: 'sha256', options: P1363 },
  ES384: { kty: 'EC', crv: 'P-384', hash: 'sha384', options: P1363 },
  ES512: { kty: 'EC', crv: 'P-521', hash: 'sha512', options: P1363 },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  Ed25519: { kty: 'OKP', crv: 'Ed25519' },
  PS256: { kty: 'RSA', hash: 'sha256', options: PSS },
  PS384: { kty: 'RSA', hash: 'sha384', options: PSS },
  PS512: { kty: 'RSA', hash: 'sha512', options: PSS },
  RS256: { kty: 'RSA', hash: 'sha256', options: PKCS1 },
  RS384: { kty: 'RSA', hash: 'sha384', options: PKCS1 },
  RS512: { kty: 'RSA', hash: 'sha512', options: PKCS1 },
};

export const DPOP_ALGORITHM_NAMES: readonly string[] = Object.keys(PROOF_ALGORITHMS);

/** The members of each kind of key that make it what it is (RFC 7638 §3.2); no other one is looked at. */
const KEY_MEMBERS: Readonly<Record<ProofAlgorithm['kty'], readonly string[]>> = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n'],
};
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** What a proof says, under the key that it brings along. For what request it is, is not looked at. */
export interface DpopProof {
  /** The thumbprint of its key (RFC 7638). */
  readonly jkt: string;
  readonly jti: string;
  /** The method and the URL of its request. */
  readonly htm: string;
  readonly htu: string;
  /** In seconds since the epoch. */
  readonly issuedAt: number;
  /** SHA-256 of the access token it goes with. */
  readonly ath?: string;
}

const verifySignature = promisify(verify);

/**
 * A proof whose signature holds (RFC 9449 §4.3, 2 to 7).
 * @throws TokenError whose message is the rest of a sentence about the proof
 */
export async function verifyDpopProof(text: string): Promise<DpopProof> {
  if (text.length > MAX_DPOP_PROOF_BYTES) throw new TokenError(`is larger than ${MAX_DPOP_PROOF_BYTES} bytes`);
  const proof = parse(text);
  const { header, payload, signingInput, signature } = proof;
  if (header['typ'] !== 'dpop+jwt') throw new TokenError('has a "typ" other than "dpop+jwt"');
  const algorithm = selectAlgorithm(header['alg']);
  const key = parseKey(header['jwk'], algorithm);
  const { hash, options } = algorithm;
  if (!(await verifySignature(hash, Buffer.from(signingInput), { key, ...options }, signature)))
    throw new TokenError('has a signature that does not hold');
  const ath = payload['ath'];
  return {
    jkt: await calculateJwkThumbprint(key.export({ format: 'jwk' })),
    jti: checkText(payload, 'jti', MAX_NAME_LENGTH),
    htm: checkText(payload, 'htm', MAX_NAME_LENGTH),
    htu: checkText(payload, 'htu', MAX_AUDIENCE_LENGTH),
    issuedAt: checkIssuedAt(payload['iat']),
    ...(ath !== undefined && { ath: checkText(payload, 'ath', MAX_NAME_LENGTH) }),
  };
}

function parse(text: string): Extract<ReturnType<typeof parseCompact>, { kind: 'jws' }> {
  let parsed: ReturnType<typeof parseCompact>;
  try {
    parsed = parseCompact(text);
  } catch (error) {
    throw error instanceof TokenError ? new TokenError(`cannot be read: ${error.message}`) : error;
  }
  if (parsed.kind !== 'jws') throw new TokenError('is no signed token');
  return parsed;
}

function selectAlgorithm(alg: unknown): ProofAlgorithm {
  const found = typeof alg === 'string' && Object.hasOwn(PROOF_ALGORITHMS, alg) ? PROOF_ALGORITHMS[alg] : undefined;
  if (found === undefined) throw new TokenError(`has an "alg" other than ${DPOP_ALGORITHM_NAMES.join(', ')}`);
  return found;
}

function parseKey(jwk: unknown, { kty, crv }: ProofAlgorithm): KeyObject {
  if (!isJsonObject(jwk)) throw new TokenError('has no "jwk" in its header');
  // SECURITY: whoever sends a private key has shown it; and a symmetric one proves nothing.
  if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name)))
    throw new TokenError('has a "jwk" that is not a public key');
  if (jwk['kty'] !== kty || jwk['crv'] !== crv) throw new TokenError('has a "jwk" that is not a key of its "alg"');
  const bare: JsonObject = Object.fromEntries(KEY_MEMBERS[kty].map((name) => [name, jwk[name]]));
  try {
    return kty === 'RSA' ? parseRsaPublicKey(bare) : createPublicKey({ key: bare, format: 'jwk' });
  } catch (error) {
    throw new TokenError(`has a "jwk" that cannot be taken${error instanceof KeyError ? `: ${error.message}` : ''}`);
  }
}

function checkText(payload: JsonObject, claim: string, maxLength: number): string {
  const value = payload[claim];
  if (typeof value !== 'string' || value === '') throw new TokenError(`has no "${claim}"`);
  if (value.length > maxLength) throw new TokenError(`has a "${claim}" of more than ${maxLength} characters`);
  if (isUnfitForName(value)) throw new TokenError(`has a "${claim}" with characters that it may not have`);
  return value;
}

function checkIssuedAt(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw new TokenError('has no "iat", a time in seconds');
  return value;
}
