import { Router, type RequestHandler } from 'express';

import type { Clock } from '../../core/clock.ts';
import type { AdminActs } from '../../http/audit-acts.ts';
import { readBody } from '../../http/body.ts';
import { checkShape } from '../../http/check.ts';
import { handleErrors } from '../../http/create-app.ts';
import { allowOnly, refuseUnknownPath } from '../../http/refusals.ts';
import { readBearer, readDpopToken } from '../../http/credentials.ts';
import { createRateLimit, limitRate } from '../../http/rate-limit.ts';
import type { RefusedAssertions } from '../../http/refused-assertions.ts';
import { sendJson, toOauthError } from '../../http/respond.ts';
import { type Answer, answerJson, type RouteShortcut } from '../../http/shortcuts.ts';
import type { SessionName, SessionStore } from '../../stores/ports.ts';
import type { FindSession } from '../authenticate.ts';
import type { AccessTokens } from '../access-token.ts';
import type { CheckDpop } from '../dpop.ts';
import type { Exchange } from '../exchange.ts';
import { readGrant } from '../grants/grants.ts';
import { toIntrospection, toTokenResponse } from '../respond.ts';
import { tokenQuery } from '../schemas.ts';
import { toTarget } from '../session.ts';
import type { CheckTrust } from '../trusted-caller.ts';
import type { UserContexts } from '../user-context.ts';
import { MAX_CLIENT_BODY_BYTES } from './client.ts';
import { refuseCaller } from './refuse-caller.ts';

export interface OauthRoutesDeps {
  readonly exchange: Exchange;
  readonly checkDpop: CheckDpop;
  readonly accessTokens: Pick<AccessTokens, 'parse'>;
  readonly findSession: FindSession;
  readonly sessions: SessionStore;
  readonly checkTrust: CheckTrust;
  readonly adminActs: AdminActs;
  readonly contexts: UserContexts;
  readonly clock: Clock;
  readonly publicUrl: () => string;
  readonly rateLimitPerMinute: number;
  readonly refusedAssertions: RefusedAssertions;
}

/** `/oauth/*`: the token endpoint (RFC 7523, 8693, 9449), introspection (RFC 7662), revocation (RFC 7009); failures as in RFC 6749 §5.2. */
export function createOauthRoutes(deps: OauthRoutesDeps): {
  readonly router: Router;
  readonly shortcuts: readonly RouteShortcut[];
} {
  const { exchange, checkDpop, accessTokens, findSession, sessions, checkTrust, adminActs, contexts } = deps;
  const { clock, publicUrl } = deps;
  const router = Router({ caseSensitive: true });
  const guard = (): RequestHandler[] => [
    limitRate({ perMinute: deps.rateLimitPerMinute, refusal: 'rate_limited' }),
    readBody(MAX_CLIENT_BODY_BYTES),
  ];

  router
    .route('/oauth/token')
    .post(deps.refusedAssertions.limit('rate_limited'), ...guard(), async function token(req, res) {
      const { assertion, options, issuedTokenType, toRefusal } = readGrant(req.body, publicUrl());
      const keyProof = await checkDpop(req);
      const grant = await exchange(assertion, { ...options, keyProof }).catch((error: unknown) => {
        throw toRefusal(error);
      });
      res.setHeader('Pragma', 'no-cache');
      sendJson(res, 200, toTokenResponse(grant, clock.nowSeconds(), issuedTokenType));
    })
    .all(allowOnly('POST'));

  const answerIntrospection = async (bearer: SessionName | undefined, isContextShown: boolean): Promise<object> => {
    const live = await findSession(bearer);
    const context = live && isContextShown ? contexts.open(live.id, live.session.sealedContext) : undefined;
    return toIntrospection(live, publicUrl(), context);
  };
  const introspect: Answer = async (req, res) => {
    const trust = checkTrust(req);
    if (trust === 'none') refuseCaller(req, res, adminActs);
    const { token } = checkShape(tokenQuery, req.body);
    const bearer = await accessTokens.parse(token);
    if (trust === 'admin' && !(await adminActs.begin(req, res, toTarget(bearer)))) return undefined;
    return answerIntrospection(bearer, trust !== 'session');
  };
  /** For the services that ask all the time; what is written into the audit trail is left to Express. */
  const introspectForServices: Answer = async (req) => {
    const trust = checkTrust(req);
    if (trust === 'none' || trust === 'admin') return undefined;
    const { token } = checkShape(tokenQuery, req.body);
    return answerIntrospection(await accessTokens.parse(token), trust === 'context');
  };
  const limit = createRateLimit({ perMinute: deps.rateLimitPerMinute, refusal: 'rate_limited' });
  router
    .route(INTROSPECT)
    .post(limit.handler, readBody(MAX_CLIENT_BODY_BYTES), answerJson(introspect))
    .all(allowOnly('POST'));

  router
    .route('/oauth/revoke')
    .post(...guard(), async function revoke(req, res) {
      const { token } = checkShape(tokenQuery, req.body);
      // Whoever holds a bearer may end it: that is what signing out is. A stolen one is better ended, so no proof is asked for.
      const trust = checkTrust(req);
      if (trust === 'none' && (readBearer(req) ?? readDpopToken(req)) !== token) refuseCaller(req, res, adminActs);
      const bearer = await accessTokens.parse(token);
      if (trust === 'admin' && !(await adminActs.begin(req, res, toTarget(bearer)))) return;
      if (bearer) await sessions.revoke(bearer.tag, bearer.key);
      // An unknown token is no error (RFC 7009 §2.2).
      sendJson(res, 200, {});
    })
    .all(allowOnly('POST'));

  router.use('/oauth', refuseUnknownPath, handleErrors(toOauthError));
  const introspection = { targets: [INTROSPECT], route: INTROSPECT, limit, maxBodyBytes: MAX_CLIENT_BODY_BYTES };
  return { router, shortcuts: [{ ...introspection, answer: introspectForServices }] };
}

const INTROSPECT = '/oauth/introspect';
