import { setTimeout as sleep } from 'node:timers/promises';

import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import type { GetText } from '../../http/outbound/get-text.ts';
import type { JwsAlgorithm } from '../../jose/algorithms.ts';
import type { CompactJws } from '../../jose/compact.ts';
import { type KeySet, parseKeySet } from './key-set.ts';

/** The largest JWKS that is read, in bytes. */
export const MAX_JWKS_BYTES = 65_536;
/** How long all of a JWKS may take to come, its name looked up and TLS agreed on, in milliseconds. */
export const JWKS_TIMEOUT_MS = 5_000;
/** How long a JWKS is used before it is read again, in seconds. */
export const JWKS_FRESH_SECONDS = 300;
/** How long it is used while it cannot be read again, in seconds; then assertions are refused with 503. */
export const JWKS_STALE_SECONDS = 3_600;
/** From one attempt to read a JWKS to the next, in seconds, whatever tokens ask for. */
export const JWKS_REFETCH_SECONDS = 10;
/**
 * How long a token whose key is in a set that is not fresh any more waits for the set to be read again, in milliseconds. A server that
 * is well answers in that time; one that hangs delays nobody for longer.
 */
export const JWKS_PATIENCE_MS = 250;

/** The key sets behind URLs, in memory. */
export interface RemoteKeySets {
  /**
   * Whether a key of the set signed the token under `alg`.
   * @throws AppError `upstream_unavailable` where there is no set that is young enough
   */
  verify(url: string, jws: CompactJws, alg: JwsAlgorithm): Promise<boolean>;
}

export interface RemoteKeySetsDeps {
  /** Absent: nothing is fetched, and whatever needs a set is refused. */
  readonly getText: GetText | undefined;
  readonly clock: Clock;
  readonly onProblem: (detail: string) => void;
  readonly waitMs?: (ms: number) => Promise<unknown>;
}

/** What is known of one URL; times in seconds since the epoch. */
interface Entry {
  loaded?: { readonly set: KeySet; readonly at: number };
  triedAt?: number;
  fetching?: Promise<void> | undefined;
  /** Fulfilled when the set was read, or has taken too long for those who can do without. */
  patience?: Promise<unknown>;
}

/** Whether less than `seconds` have gone by. A clock that was set back makes everything old. */
const isWithin = (seconds: number, at: number | undefined, now: number): boolean =>
  at !== undefined && now >= at && now - at < seconds;

/** SECURITY: a URL as a log may show it: its query may hold a key to the set. */
const toLoggedUrl = (url: string): string => url.replace(/\?.*/, '');

const waitAside = (ms: number): Promise<unknown> => sleep(ms, undefined, { ref: false });

export function createRemoteKeySets({
  getText,
  clock,
  onProblem,
  waitMs = waitAside,
}: RemoteKeySetsDeps): RemoteKeySets {
  const entries = new Map<string, Entry>();

  const find = (url: string): Entry => {
    const found = entries.get(url);
    if (found) return found;
    const now = clock.nowSeconds();
    for (const [other, { triedAt, fetching }] of entries)
      if (fetching === undefined && !isWithin(JWKS_STALE_SECONDS, triedAt, now)) entries.delete(other);
    const made: Entry = {};
    entries.set(url, made);
    return made;
  };

  const fetchSet = async (url: string, entry: Entry): Promise<void> => {
    const at = clock.nowSeconds();
    entry.triedAt = at;
    try {
      if (getText === undefined) throw new Error('remote key sets are not offered by this server');
      const set = parseKeySet(await getText(url, { maxBytes: MAX_JWKS_BYTES, timeoutMs: JWKS_TIMEOUT_MS }));
      entry.loaded = { set, at };
    } catch (error) {
      // SECURITY: what was loaded before stays, until it is too old: a failure adds no key and keeps none for long.
      onProblem(
        `the JWKS ${toLoggedUrl(url)} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  };

  /** Reads the set again, unless that was tried a moment ago; who comes meanwhile waits for the same answer. */
  const refresh = async (url: string, entry: Entry): Promise<void> => {
    if (entry.fetching === undefined) {
      if (isWithin(JWKS_REFETCH_SECONDS, entry.triedAt, clock.nowSeconds())) return;
      entry.fetching = fetchSet(url, entry).finally(() => {
        entry.fetching = undefined;
      });
      entry.patience = Promise.race([entry.fetching, waitMs(JWKS_PATIENCE_MS)]);
    }
    await entry.fetching;
  };

  /** The set, where it is younger than `seconds`. */
  const read = ({ loaded }: Entry, seconds: number): KeySet | undefined =>
    isWithin(seconds, loaded?.at, clock.nowSeconds()) ? loaded?.set : undefined;

  /**
   * By a set that is being read again, which those who need nothing new from it do not wait for.
   * SECURITY: a server that hangs is one that fails: its former set is believed until it is too old, and not any longer.
   */
  const verifyMeanwhile = async (entry: Entry, jws: CompactJws, alg: JwsAlgorithm): Promise<boolean> => {
    const { kid } = jws.header;
    const has = (set: KeySet | undefined) => kid === undefined || (typeof kid === 'string' && set?.has(kid, alg));
    if (!has(read(entry, JWKS_STALE_SECONDS))) return false;
    await entry.patience;
    return (await read(entry, JWKS_STALE_SECONDS)?.verify(jws, alg)) ?? false;
  };

  return {
    verify: async (url, jws, alg) => {
      const entry = find(url);
      const { kid } = jws.header;
      const fresh = read(entry, JWKS_FRESH_SECONDS);
      const isKnown = kid === undefined || (typeof kid === 'string' && fresh?.has(kid, alg) === true);
      if (fresh === undefined || !isKnown) {
        const refreshed = refresh(url, entry);
        if (entry.fetching !== undefined && (await verifyMeanwhile(entry, jws, alg))) return true;
        await refreshed;
      }
      const set = read(entry, JWKS_STALE_SECONDS);
      if (set === undefined) throw new AppError('upstream_unavailable', { detail: `no JWKS from ${toLoggedUrl(url)}` });
      return set.verify(jws, alg);
    },
  };
}
