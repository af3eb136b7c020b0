import type { JsonObject } from '../core/json.ts';
import type { JweDecrypter } from './jwe.ts';

/** The platform's JWE keys. */
export interface Keyring {
  /** The key that producers are told to use. */
  readonly current: JweDecrypter;
  /** Every key that a token may still be encrypted for, newest first. */
  readonly all: readonly JweDecrypter[];
  /** The keys that a JWE header selects: the one of its `kid`, or all where it has none. */
  select(header: JsonObject): readonly JweDecrypter[];
  /** The public keys (RFC 7517 §5). */
  readonly jwks: { readonly keys: readonly JweDecrypter['jwk'][] };
}

/**
 * @param keys - newest first, at least one
 */
export function createKeyring(keys: readonly JweDecrypter[]): Keyring {
  const [current] = keys;
  if (current === undefined) throw new TypeError('a keyring needs a key');
  const byId = new Map(keys.map((key) => [key.kid, key]));
  return {
    current,
    all: keys,
    select: ({ kid }) => {
      if (kid === undefined) return keys;
      const key = typeof kid === 'string' ? byId.get(kid) : undefined;
      return key ? [key] : [];
    },
    jwks: { keys: keys.map(({ jwk }) => jwk) },
  };
}
