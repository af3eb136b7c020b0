import type { Clock } from '../core/clock.ts';
import type { JsonObject } from '../core/json.ts';
import type { JweDecrypter } from './jwe.ts';
import { createSigningKeys, type SigningKey, type SigningKeys } from './signing-keys.ts';

/** From when to when something may be used, in seconds since the epoch. */
export interface KeyTimes {
  /** Published before, used from now on. */
  readonly activatesAt: number;
  /** Unknown from then on. Absent: never. */
  readonly retiresAt?: number | undefined;
}

/** A key with its times. */
export interface TimedKey<Key> extends KeyTimes {
  readonly key: Key;
}

/** `next` is published and not used yet; `current` is used; `former` is still taken; `retired` is unknown. */
export type KeyState = 'next' | 'current' | 'former' | 'retired';

/** The platform's keys, as the clock says now. */
export interface Keyring {
  /** The key that producers of JWEs are told to use: the newest that is active. */
  readonly current: JweDecrypter;
  /** Every key that a token may be encrypted for, the current one first. */
  readonly all: readonly JweDecrypter[];
  /** The keys that a JWE header selects: the one of its `kid`, or all where it has none. */
  select(header: JsonObject): readonly JweDecrypter[];
  /** The keys that the platform signs its own tokens with. */
  readonly signing: SigningKeys;
  /** The public keys (RFC 7517 §5): those for encryption, the current one first, then those of signatures. */
  readonly jwks: { readonly keys: readonly (JweDecrypter['jwk'] | SigningKey['jwk'])[] };
}

export interface KeyringDeps {
  /** At least one of them active. */
  readonly encryption: readonly TimedKey<JweDecrypter>[];
  readonly signing: readonly TimedKey<SigningKey>[];
  readonly clock: Clock;
  /** A key to sign with, where there was none when the keyring was made. */
  readonly makeSigningKey: () => Promise<SigningKey>;
}

/** Whether it is still taken. */
export const isLive = ({ retiresAt = Infinity }: KeyTimes, now: number): boolean => now < retiresAt;

/** The one that is used now: the newest that is active. @returns undefined where none is */
function findCurrent<Key extends KeyTimes>(keys: readonly Key[], now: number): Key | undefined {
  const active = keys.filter((key) => isLive(key, now) && key.activatesAt <= now);
  return active.reduce<Key | undefined>(
    (best, key) => (best && best.activatesAt >= key.activatesAt ? best : key),
    undefined,
  );
}

/** What a key is among the others of its use. */
export function toKeyState<Key extends KeyTimes>(key: Key, keys: readonly Key[], now: number): KeyState {
  if (!isLive(key, now)) return 'retired';
  if (key.activatesAt > now) return 'next';
  return key === findCurrent(keys, now) ? 'current' : 'former';
}

export function createKeyring({ encryption, signing, clock, makeSigningKey }: KeyringDeps): Keyring {
  if (encryption.length === 0) throw new TypeError('a keyring needs a key');
  const byKid = new Map(encryption.map((timed) => [timed.key.kid, timed]));
  const signingByKid = new Map(signing.map((timed) => [timed.key.kid, timed]));

  /** The live ones, the current one first and then the newest; the clock is asked each time: nothing is reloaded when a key begins or ends. */
  const listLive = <Key>(keys: readonly TimedKey<Key>[]): Key[] => {
    const now = clock.nowSeconds();
    const current = findCurrent(keys, now);
    const others = keys.filter((timed) => timed !== current && isLive(timed, now));
    const sorted = others.toSorted((one, other) => other.activatesAt - one.activatesAt);
    return [...(current ? [current] : []), ...sorted].map(({ key }) => key);
  };
  const findLive = <Key>(timed: TimedKey<Key> | undefined): Key | undefined =>
    timed && isLive(timed, clock.nowSeconds()) ? timed.key : undefined;

  return {
    get current() {
      const [current] = listLive(encryption);
      if (current === undefined) throw new TypeError('every key of the keyring is retired');
      return current;
    },
    get all() {
      return listLive(encryption);
    },
    select: ({ kid }) => {
      if (kid === undefined) return listLive(encryption);
      const key = findLive(typeof kid === 'string' ? byKid.get(kid) : undefined);
      return key ? [key] : [];
    },
    signing: createSigningKeys({
      current: async () => findCurrent(signing, clock.nowSeconds())?.key ?? makeSigningKey(),
      find: (kid) => findLive(signingByKid.get(kid)),
    }),
    get jwks() {
      return { keys: [...listLive(encryption).map(({ jwk }) => jwk), ...listLive(signing).map(({ jwk }) => jwk)] };
    },
  };
}
