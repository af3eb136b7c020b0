import { Router, type RequestHandler } from 'express';

import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import { readBody } from '../../http/body.ts';
import { checkShape } from '../../http/check.ts';
import { handleErrors } from '../../http/create-app.ts';
import { allowOnly, refuseUnknownPath } from '../../http/refusals.ts';
import { readBearer } from '../../http/credentials.ts';
import { limitRate } from '../../http/rate-limit.ts';
import { sendJson, toOauthError } from '../../http/respond.ts';
import type { SessionStore } from '../../stores/ports.ts';
import type { FindSession } from '../authenticate.ts';
import { parseBearer } from '../bearer.ts';
import type { Exchange } from '../exchange.ts';
import { toAuthorizeResponse, toIntrospection } from '../respond.ts';
import { JWT_BEARER_GRANT, tokenQuery, tokenRequest } from '../schemas.ts';
import { type CheckTrust, refuseCaller } from '../trusted-caller.ts';
import type { UserContexts } from '../user-context.ts';
import { MAX_CLIENT_BODY_BYTES } from './client.ts';

export interface OauthRoutesDeps {
  readonly exchange: Exchange;
  readonly findSession: FindSession;
  readonly sessions: SessionStore;
  readonly checkTrust: CheckTrust;
  readonly contexts: UserContexts;
  readonly clock: Clock;
  readonly publicUrl: () => string;
  readonly rateLimitPerMinute: number;
}

/** `/oauth/*`: the token endpoint (RFC 7523), introspection (RFC 7662), revocation (RFC 7009); failures as in RFC 6749 §5.2. */
export function createOauthRoutes(deps: OauthRoutesDeps): Router {
  const { exchange, findSession, sessions, checkTrust, contexts, clock, publicUrl } = deps;
  const router = Router({ caseSensitive: true });
  const guard = (): RequestHandler[] => [
    limitRate({ perMinute: deps.rateLimitPerMinute, refusal: 'rate_limited' }),
    readBody(MAX_CLIENT_BODY_BYTES),
  ];

  router
    .route('/oauth/token')
    .post(...guard(), async function token(req, res) {
      const { grant_type: grantType, assertion, scope, ...rest } = checkShape(tokenRequest, req.body);
      if (grantType !== JWT_BEARER_GRANT) throw new AppError('unsupported_grant_type');
      if (scope !== undefined && scope !== '') throw new AppError('invalid_scope');
      if (assertion === undefined)
        throw new AppError('invalid_request', { values: { detail: "'assertion' is missing" } });
      const { issued_at: _, ...answer } = toAuthorizeResponse(
        await exchange(assertion, { mergeBearer: rest.identity_to_merge_token }),
        clock.nowSeconds(),
      );
      res.setHeader('Pragma', 'no-cache');
      sendJson(res, 200, answer);
    })
    .all(allowOnly('POST'));

  router
    .route('/oauth/introspect')
    .post(...guard(), async function introspect(req, res) {
      const trust = checkTrust(req);
      if (trust === 'none') refuseCaller(req);
      const { token } = checkShape(tokenQuery, req.body);
      const live = await findSession(parseBearer(token));
      const context = live && trust === 'context' ? contexts.open(live.id, live.session.sealedContext) : undefined;
      sendJson(res, 200, toIntrospection(live, publicUrl(), context));
    })
    .all(allowOnly('POST'));

  router
    .route('/oauth/revoke')
    .post(...guard(), async function revoke(req, res) {
      const { token } = checkShape(tokenQuery, req.body);
      // Whoever holds a bearer may end it: that is what signing out is.
      if (checkTrust(req) === 'none' && readBearer(req) !== token) refuseCaller(req);
      const bearer = parseBearer(token);
      if (bearer) await sessions.revoke(bearer.tag, bearer.key);
      // An unknown token is no error (RFC 7009 §2.2).
      sendJson(res, 200, {});
    })
    .all(allowOnly('POST'));

  router.use('/oauth', refuseUnknownPath, handleErrors(toOauthError));
  return router;
}
