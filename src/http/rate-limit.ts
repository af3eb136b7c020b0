import type { NextFunction, Request, RequestHandler } from 'express';
import { MemoryStore, rateLimit } from 'express-rate-limit';

import { systemClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { toAddressKey } from './address-limit.ts';
import { readAhead } from './ahead.ts';
import { getSharedCounters, type SharedCounters } from './shared-counters.ts';

const WINDOW_MS = 60_000;

export interface RateLimitOptions {
  readonly perMinute: number;
  /**
   * `busy` (503) on the routes of the published clients, which crash on 429; `rate_limited` (429) elsewhere.
   */
  readonly refusal: 'busy' | 'rate_limited';
}

/** One limit, for Express and for what is answered before it. */
export interface RateLimit {
  readonly handler: RequestHandler;
  /** Counts a request in this process's memory. @returns false where it is one too many; the handler refuses it then */
  admits(req: Request): Promise<boolean>;
}

/** {@link createRateLimit} where Express alone answers. */
export const limitRate = (options: RateLimitOptions): RequestHandler => createRateLimit(options).handler;

/**
 * Limits requests by caller address, each use of this function with counters of its own: in this process's memory, and where the
 * app shares its counters, besides with the other processes. Those are asked only for what the own memory lets pass.
 */
export function createRateLimit({ perMinute, refusal }: RateLimitOptions): RateLimit {
  const store = new MemoryStore();
  const limitHere = rateLimit({
    store,
    // A shortcut has counted it.
    skip: (req) => readAhead(req) !== undefined,
    windowMs: WINDOW_MS,
    limit: perMinute,
    standardHeaders: false,
    legacyHeaders: false,
    validate: false,
    keyGenerator: ({ ip }) => toAddressKey(ip),
    handler: (req, _res, next) => {
      const resetAt = (req as { rateLimit?: { resetTime?: Date } }).rateLimit?.resetTime;
      const left = resetAt ? resetAt.getTime() / 1000 - systemClock.nowSeconds() : 1;
      // Whatever someone does to the clock meanwhile.
      const seconds = Math.min(WINDOW_MS / 1000, Math.max(1, Math.ceil(left)));
      next(new AppError(refusal, { values: { seconds } }));
    },
  });
  const limitTogether = async (req: Request, counters: SharedCounters, next: NextFunction): Promise<void> => {
    const { count, leftMs } = await countTogether(counters, toSharedKey(req));
    const seconds = Math.max(1, Math.ceil(leftMs / 1000));
    next(count > perMinute ? new AppError(refusal, { values: { seconds } }) : undefined);
  };
  return {
    admits: async (req) => (await store.increment(toAddressKey(req.ip))).totalHits <= perMinute,
    handler: function limitRequests(req, res, next) {
      void limitHere(req, res, (error?: unknown) => {
        const counters = error === undefined ? getSharedCounters(req) : undefined;
        if (counters === undefined) next(error);
        else void limitTogether(req, counters, next);
      });
    },
  };
}

/**
 * Counts one more together with the other processes. Where they cannot be asked it counts as the first: a limit is no
 * permission, each process keeps the same limit in its own memory, and what needs the store is refused without it anyway.
 */
export async function countTogether(
  counters: SharedCounters,
  key: string,
): Promise<{ readonly count: number; readonly leftMs: number }> {
  try {
    return await counters.add(key, WINDOW_MS);
  } catch {
    return { count: 1, leftMs: WINDOW_MS };
  }
}

/** The route and the caller, the same in every process. */
function toSharedKey(req: Request): string {
  const route = String((req.route as { path?: string | string[] } | undefined)?.path ?? '');
  return `${req.method} ${req.baseUrl}${route} ${toAddressKey(req.ip)}`;
}
