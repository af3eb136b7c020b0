import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

import type { JsonObject } from '../core/json.ts';
import { MAX_RSA_BITS, MIN_RSA_BITS } from './limits.ts';

/** An RSA public key as the platform shows it (RFC 7517, RFC 7518 §6.3.1). */
export interface RsaPublicJwk {
  readonly kty: 'RSA';
  readonly e: string;
  readonly n: string;
  readonly kid?: string;
  readonly use?: string;
  readonly alg?: string;
}

/** A key that cannot be taken. The message says why and quotes nothing of the key. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
}

/** Members that only a private or symmetric JWK has (RFC 7518 §6.3.2, §6.4). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** Whether a JWK is symmetric or private, or says so of itself. */
export function isPrivateJwk(jwk: JsonObject): boolean {
  return jwk['kty'] === 'oct' || PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name));
}

/**
 * An RSA public key of {@link MIN_RSA_BITS} to {@link MAX_RSA_BITS} bits, from PEM (SPKI, PKCS #1 or an X.509 certificate) or a JWK object.
 * @throws KeyError
 */
export function parseRsaPublicKey(source: string | JsonObject): KeyObject {
  if (
    typeof source === 'string'
      ? /PRIVATE KEY/.test(source)
      : PRIVATE_MEMBERS.some((name) => Object.hasOwn(source, name))
  ) {
    throw new KeyError('this is a private key; send the public one, and make a new pair: this one has been shown');
  }
  return checkRsa(() =>
    typeof source === 'string' ? createPublicKey(source) : createPublicKey({ key: source, format: 'jwk' }),
  );
}

/**
 * An RSA private key from PEM (PKCS #8 or PKCS #1, not encrypted).
 * @throws KeyError
 */
export function parseRsaPrivateKey(pem: string): KeyObject {
  return checkRsa(() => createPrivateKey(pem));
}

/** A fresh RSA key pair of {@link MIN_RSA_BITS} bits; the private key as PKCS #8 PEM. */
export async function createRsaPrivateKeyPem(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: MIN_RSA_BITS });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** The public half as a JWK, without optional members. */
export function toPublicJwk(key: KeyObject): RsaPublicJwk {
  const { e = '', n = '' } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  return { kty: 'RSA', e, n };
}

/** The length of an RSA key's modulus, and so of whatever is encrypted for it, in bytes. */
export function toModulusBytes(key: KeyObject): number {
  return Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
}

function checkRsa(read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch {
    throw new KeyError('this is not a key in PEM or JWK form');
  }
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType !== 'rsa') throw new KeyError('this is not an RSA key');
  if (modulusLength < MIN_RSA_BITS) throw new KeyError(`the key has ${modulusLength} bits; ${MIN_RSA_BITS} are needed`);
  if (modulusLength > MAX_RSA_BITS)
    throw new KeyError(`the key has ${modulusLength} bits; at most ${MAX_RSA_BITS} are taken`);
  if (publicExponent < 3n || publicExponent % 2n === 0n || publicExponent > 0xffff_ffffn) {
    throw new KeyError('the public exponent is not an odd number from 3 to 2^32');
  }
  return key;
}
