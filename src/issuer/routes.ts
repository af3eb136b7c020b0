import { type ErrorRequestHandler, Router } from 'express';

import { toAppError } from '../core/errors.ts';
import { noteCaller } from '../http/access-log.ts';
import { readBody } from '../http/body.ts';
import { checkShape } from '../http/check.ts';
import { allowOrigins, type CorsPolicy } from '../http/cors.ts';
import { allowOnly } from '../http/refusals.ts';
import type { Metrics } from '../http/metrics.ts';
import { createRateLimit } from '../http/rate-limit.ts';
import { type Answer, answerJson, type Shortcut } from '../http/shortcuts.ts';
import type { IssueAssertion } from './issue-assertion.ts';
import { type MintResponse, mintRequestSchema } from './schemas.ts';

/** Where published clients ask for a token; a slash may follow. */
export const MINT_PATHS = ['/api/users/sts', '/users/sts'] as const;

/** A request for a token, in bytes. */
export const MAX_MINT_BODY_BYTES = 16_384;

export interface IssuerRoutesDeps {
  readonly issueAssertion: IssueAssertion;
  readonly metrics: Metrics;
  readonly cors: CorsPolicy;
  readonly rateLimitPerMinute: number;
}

/** `POST` on each of {@link MINT_PATHS}. CORS comes first, so that every failure can be read by a page. */
export function createIssuerRoutes(deps: IssuerRoutesDeps): {
  readonly router: Router;
  readonly shortcuts: readonly Shortcut[];
} {
  const { issueAssertion, metrics, rateLimitPerMinute } = deps;
  const mint: Answer = async (req, res) => {
    const { jwt, callerLabel } = await issueAssertion(req, checkShape(mintRequestSchema, req.body));
    if (callerLabel !== undefined) noteCaller(res, callerLabel);
    metrics.countMint('minted');
    return { jwt } satisfies MintResponse;
  };
  const countFailure: ErrorRequestHandler = (error: unknown, _req, _res, next) => {
    metrics.countMint(toAppError(error).code);
    next(error);
  };
  // One limiter for both paths: an address has one allowance.
  const limit = createRateLimit({ perMinute: rateLimitPerMinute, refusal: 'busy' });
  const cors = allowOrigins(deps.cors);

  const router = Router({ caseSensitive: true });
  router.use(cors);
  for (const path of MINT_PATHS) {
    const handlers = [limit.handler, readBody(MAX_MINT_BODY_BYTES), answerJson(mint)];
    router.route(path).post(handlers, countFailure).all(allowOnly('POST, OPTIONS'));
  }
  const shortcuts = MINT_PATHS.map((path) => {
    return { targets: [path, `${path}/`], route: path, cors, limit, maxBodyBytes: MAX_MINT_BODY_BYTES, answer: mint };
  });
  return { router, shortcuts };
}
