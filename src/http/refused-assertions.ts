import type { Request, RequestHandler } from 'express';

import { AppError, type ErrorCode, ERRORS, type ErrorRow } from '../core/errors.ts';
import { isLoopbackAddress } from '../core/loopback.ts';
import { onFailure } from './access-log.ts';
import { toAddressKey } from './address-limit.ts';
import { countTogether, type RateLimitOptions } from './rate-limit.ts';
import type { SharedCounters } from './shared-counters.ts';
import { createWindowCounter, MAX_COUNTED_KEYS } from './window-counter.ts';

/** Refused assertions of one address in a minute, where nothing else is configured. */
export const FAILED_ASSERTIONS_PER_MINUTE = 300;
/**
 * The part of that limit from which on refused assertions of one address are counted together with other processes, where limits are
 * shared: those before cost no question to the store.
 */
export const SUSPECTED_AFTER = 0.25;
const WINDOW_MS = 60_000;

/** Keeps those who present nothing but refused assertions from costing a signature each. */
export interface RefusedAssertions {
  /** For the beginning of a route that takes assertions. All of them count together. */
  limit(refusal: RateLimitOptions['refusal']): RequestHandler;
  /** Whether that limit refuses the request. */
  isBarred(req: Request): boolean;
}

export interface RefusedAssertionsDeps {
  /** 0 for no limit. */
  readonly perMinute: number;
  /** What counts together with other processes. Absent: each process counts for itself. */
  readonly counters?: SharedCounters | undefined;
  readonly monotonicMs?: () => number;
}

/**
 * Counts refused assertions by caller address, as `trust proxy` sees it. Beyond the limit the next ones of that address are
 * refused unread until the minute is over. An address of this machine is nobody's: it is a proxy that is not trusted, and
 * everybody comes from there. Where limits are shared, the store is asked only behind a refusal of an address that has had many here
 * already, and nobody waits for it: a process learns of what others refused by one more of its own.
 */
export function createRefusedAssertions({
  perMinute,
  counters,
  monotonicMs = () => performance.now(),
}: RefusedAssertionsDeps): RefusedAssertions {
  const counter = createWindowCounter({ windowMs: WINDOW_MS, monotonicMs });
  /** Addresses that had too many everywhere together, and until when. */
  const blocked = new Map<string, number>();

  const count = async (key: string): Promise<void> => {
    if (counter.add(key) <= perMinute * SUSPECTED_AFTER || counters === undefined) return;
    const together = await countTogether(counters, `refused ${key}`);
    if (together.count < perMinute) return;
    if (blocked.size >= MAX_COUNTED_KEYS) blocked.clear();
    blocked.set(key, monotonicMs() + together.leftMs);
  };

  /** For how many seconds no more is taken from an address. @returns 0 where it is */
  const secondsBlocked = (key: string): number => {
    if (counter.count(key) >= perMinute) return counter.secondsLeft();
    const leftMs = (blocked.get(key) ?? 0) - monotonicMs();
    if (leftMs > 0) return Math.ceil(leftMs / 1000);
    blocked.delete(key);
    return 0;
  };
  const keyOf = ({ ip }: Request): string | undefined =>
    perMinute === 0 || ip === undefined || isLoopbackAddress(ip) ? undefined : toAddressKey(ip);

  return {
    isBarred: (req) => {
      const key = keyOf(req);
      return key !== undefined && secondsBlocked(key) > 0;
    },
    limit: (refusal) =>
      function limitRefusedAssertions(req, res, next) {
        const key = keyOf(req);
        if (key === undefined) {
          next();
          return;
        }
        const seconds = secondsBlocked(key);
        if (seconds > 0) {
          throw new AppError(refusal, {
            values: { seconds },
            detail: 'too many refused assertions of this address',
          });
        }
        // SECURITY: not when the connection closes: who hangs up while a signature is checked has it checked all the same.
        onFailure(res, ({ code }) => {
          if (isRefusedAssertion(code)) void count(key);
        });
        next();
      },
  };
}

/** Whether a failure is the assertion's own: 401, and 400 as RFC 6749 §5.2 has it. */
function isRefusedAssertion(code: ErrorCode): boolean {
  const { status, oauthStatus }: ErrorRow = ERRORS[code];
  return status === 401 && oauthStatus === 400;
}
