import { isJsonObject, type JsonObject, parseJsonObject } from '../../core/json.ts';
import type { JwsAlgorithm } from '../../jose/algorithms.ts';
import type { CompactJws } from '../../jose/compact.ts';
import { isPrivateJwk, KeyError, parseRsaPublicKey } from '../../jose/jwk.ts';
import { createJwsVerifier, type JwsVerifier } from '../../jose/jws.ts';

/** Members of a JWKS, of whatever kind. */
export const MAX_JWKS_KEYS = 32;

/** A JWKS that is not taken. The message is for the log, and quotes nothing of it. */
export class KeySetError extends Error {
  override readonly name = 'KeySetError';
}

/** The signing keys of a JWKS. */
export interface KeySet {
  /** Whether it has a key of this id for an algorithm. */
  has(kid: string, alg: JwsAlgorithm): boolean;
  /** Whether the key that the token's `kid` names, or any where it names none, signed it under `alg`. */
  verify(jws: CompactJws, alg: JwsAlgorithm): Promise<boolean>;
}

interface Member {
  readonly kid: unknown;
  /** Undefined where it is for any. */
  readonly alg: unknown;
  readonly pem: string;
  readonly verifiers: Map<JwsAlgorithm, Promise<JwsVerifier>>;
}

/**
 * Reads a JWKS (RFC 7517 §5). Members that are no RSA keys for verifying are passed over, as it asks for.
 * @throws KeySetError, JsonError
 */
export function parseKeySet(text: string): KeySet {
  const { keys } = parseJsonObject(text);
  if (!Array.isArray(keys) || !keys.every(isJsonObject)) throw new KeySetError('it is no JWKS');
  if (keys.length > MAX_JWKS_KEYS) throw new KeySetError(`it has more than ${MAX_JWKS_KEYS} keys`);
  // SECURITY: whoever shows a secret or a private key has shown it to everybody; nothing of such a set is believed.
  if (keys.some(isPrivateJwk)) throw new KeySetError('it has a symmetric or private key in it');
  const members = keys.map(toMember).filter((member) => member !== undefined);

  const select = (kid: unknown, alg: JwsAlgorithm): readonly Member[] =>
    members.filter(
      (member) => (kid === undefined || member.kid === kid) && (member.alg === undefined || member.alg === alg),
    );

  return {
    has: (kid, alg) => select(kid, alg).length > 0,
    verify: async (jws, alg) => {
      for (const { pem, verifiers } of select(jws.header['kid'], alg)) {
        const verifier = verifiers.get(alg) ?? createJwsVerifier(alg, pem);
        verifiers.set(alg, verifier);
        if (await (await verifier).verify(jws)) return true;
      }
      return false;
    },
  };
}

/** @returns undefined for a key of another kind or for another use, or one that is too weak */
function toMember(jwk: JsonObject): Member | undefined {
  const { kty, use, key_ops: operations, kid, alg } = jwk;
  const isForVerifying =
    (use === undefined || use === 'sig') &&
    (operations === undefined || (Array.isArray(operations) && operations.includes('verify')));
  if (kty !== 'RSA' || !isForVerifying) return undefined;
  try {
    const pem = parseRsaPublicKey(jwk).export({ type: 'spki', format: 'pem' }) as string;
    return { kid, alg, pem, verifiers: new Map() };
  } catch (error) {
    if (error instanceof KeyError) return undefined;
    throw error;
  }
}
