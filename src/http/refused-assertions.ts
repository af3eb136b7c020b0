import type { Request, RequestHandler } from 'express';

import { AppError, type ErrorCode, ERRORS, type ErrorRow } from '../core/errors.ts';
import { isLoopbackAddress } from '../core/loopback.ts';
import { onFailure } from './access-log.ts';
import { toAddressKey } from './address-limit.ts';
import type { RateLimitOptions } from './rate-limit.ts';
import { createWindowCounter } from './window-counter.ts';

/** Refused assertions of one address in a minute, where nothing else is configured. */
export const FAILED_ASSERTIONS_PER_MINUTE = 300;
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
  readonly monotonicMs?: () => number;
}

/**
 * Counts refused assertions by caller address, as `trust proxy` sees it. Beyond the limit the next ones of that address are
 * refused unread until the minute is over. An address of this machine is nobody's: it is a proxy that is not trusted, and
 * everybody comes from there.
 */
export function createRefusedAssertions({ perMinute, ...deps }: RefusedAssertionsDeps): RefusedAssertions {
  const counter = createWindowCounter({ windowMs: WINDOW_MS, ...deps });
  const keyOf = ({ ip }: Request): string | undefined =>
    perMinute === 0 || ip === undefined || isLoopbackAddress(ip) ? undefined : toAddressKey(ip);
  const isOver = (key: string): boolean => counter.count(key) >= perMinute;
  return {
    isBarred: (req) => {
      const key = keyOf(req);
      return key !== undefined && isOver(key);
    },
    limit: (refusal) =>
      function limitRefusedAssertions(req, res, next) {
        const key = keyOf(req);
        if (key === undefined) {
          next();
          return;
        }
        if (isOver(key)) {
          throw new AppError(refusal, {
            values: { seconds: counter.secondsLeft() },
            detail: 'too many refused assertions of this address',
          });
        }
        // SECURITY: not when the connection closes: who hangs up while a signature is checked has it checked all the same.
        onFailure(res, ({ code }) => {
          if (isRefusedAssertion(code)) counter.add(key);
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
