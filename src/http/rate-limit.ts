import type { RequestHandler } from 'express';
import { rateLimit } from 'express-rate-limit';

import { systemClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { toAddressKey } from './address-limit.ts';

const WINDOW_MS = 60_000;

export interface RateLimitOptions {
  readonly perMinute: number;
  /**
   * `busy` (503) on the routes of the published clients, which crash on 429; `rate_limited` (429) elsewhere.
   */
  readonly refusal: 'busy' | 'rate_limited';
}

/** Limits requests by caller address, each use of this function with counters of its own, in this process's memory. */
export function limitRate({ perMinute, refusal }: RateLimitOptions): RequestHandler {
  return rateLimit({
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
}
