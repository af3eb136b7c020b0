import cors from 'cors';
import type { RequestHandler } from 'express';

import { addFields } from './header-fields.ts';

/** Request headers that published clients send across origins. */
const ALLOWED_HEADERS = ['content-type', 'authorization', 'x-rtm-v', 'alg', 'typ', 'dpop'];
const EXPOSED_HEADERS = ['x-request-id', 'retry-after', 'www-authenticate'];
/** How long a browser may keep a preflight's answer, in seconds. */
const PREFLIGHT_MAX_AGE_SECONDS = 600;

const VARY_BY_ORIGIN = ['Vary', 'Origin'];
const LOOPBACK_ORIGIN = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;

/** Origins whose pages may read answers: exact ones, or every loopback one besides. */
export interface CorsPolicy {
  readonly origins: readonly string[];
  readonly allowLoopback: boolean;
  /** Whether pages may send cookies. */
  readonly allowCredentials: boolean;
}

/** CORS by an allow-list. Runs before everything that can fail, so that errors carry the headers too. */
export function allowOrigins({ origins, allowLoopback, allowCredentials }: CorsPolicy): RequestHandler {
  const policy = cors({
    origin: allowLoopback ? [...origins, LOOPBACK_ORIGIN] : [...origins],
    methods: ['GET', 'POST'],
    allowedHeaders: ALLOWED_HEADERS,
    exposedHeaders: EXPOSED_HEADERS,
    credentials: allowCredentials,
    maxAge: PREFLIGHT_MAX_AGE_SECONDS,
  });
  return function allowOriginsHandler(req, res, next) {
    if (req.headers.origin !== undefined || req.method === 'OPTIONS') {
      policy(req, res, next);
      return;
    }
    // Who sends no origin is no page of another one; a cache must know that it would have mattered.
    addFields(res, VARY_BY_ORIGIN);
    next();
  };
}
