import { Router } from 'express';

import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import type { AdminActs } from '../../http/audit-acts.ts';
import { readBody } from '../../http/body.ts';
import { checkShape } from '../../http/check.ts';
import { allowOnly } from '../../http/refusals.ts';
import { createRateLimit, limitRate } from '../../http/rate-limit.ts';
import type { RefusedAssertions } from '../../http/refused-assertions.ts';
import { sendJson } from '../../http/respond.ts';
import { type Answer, answerJson, type RouteShortcut } from '../../http/shortcuts.ts';
import type { Keyring } from '../../jose/keyring.ts';
import { type Authenticate, type FindSession, isBoundAsAsked } from '../authenticate.ts';
import type { Exchange } from '../exchange.ts';
import { toAuthorizeResponse, toJwtGrantResponse, toMetadata, toUserInfo } from '../respond.ts';
import { authorizeRequest, jwtGrantRequest, sessionQuery } from '../schemas.ts';
import { parseSessionId, toTarget } from '../session.ts';
import type { CheckTrust } from '../trusted-caller.ts';
import type { UserContexts } from '../user-context.ts';
import { refuseCaller } from './refuse-caller.ts';

/** A body with an assertion, in bytes: room for the largest assertion and for `botInfo` beside it. */
export const MAX_CLIENT_BODY_BYTES = 65_536;

export interface ClientRoutesDeps {
  readonly exchange: Exchange;
  readonly authenticate: Authenticate;
  readonly findSession: FindSession;
  readonly checkTrust: CheckTrust;
  readonly adminActs: AdminActs;
  readonly contexts: UserContexts;
  readonly keyring: () => Promise<Keyring>;
  readonly clock: Clock;
  readonly publicUrl: () => string;
  readonly rateLimitPerMinute: number;
  readonly refusedAssertions: RefusedAssertions;
}

/** What the published clients and the holders of a bearer call; failures in the seeds' shape. */
export function createClientRoutes(deps: ClientRoutesDeps): {
  readonly router: Router;
  readonly shortcuts: readonly RouteShortcut[];
} {
  const { exchange, authenticate, findSession, checkTrust, adminActs, contexts, keyring, clock, publicUrl } = deps;
  const router = Router({ caseSensitive: true });
  const { limit: barRefused, isBarred } = deps.refusedAssertions;

  const authorize: Answer = async (req) => {
    const { assertion, identity_to_merge_token: mergeBearer } = checkShape(authorizeRequest, req.body);
    return toAuthorizeResponse(await exchange(assertion, { mergeBearer }), clock.nowSeconds());
  };
  const jwtGrant: Answer = async (req) => {
    const { assertion, botInfo = {}, identity_to_merge_token: mergeBearer } = checkShape(jwtGrantRequest, req.body);
    const { taskBotId: botId, customData } = botInfo;
    return toJwtGrantResponse(await exchange(assertion, { botId, customData, mergeBearer }));
  };
  const exchanges: readonly (readonly [targets: string[], answer: Answer])[] = [
    [['/authorize'], authorize],
    [['/api/oAuth/token/jwtgrant', '/api/1.1/oAuth/token/jwtgrant'], jwtGrant],
  ];
  const shortcuts = exchanges.map(([targets, answer]) => {
    const limit = createRateLimit({ perMinute: deps.rateLimitPerMinute, refusal: 'busy' });
    const handlers = [barRefused('busy'), limit.handler, readBody(MAX_CLIENT_BODY_BYTES), answerJson(answer)];
    const route = targets.length === 1 ? String(targets) : targets;
    router.route(route).post(handlers).all(allowOnly('POST'));
    return { targets, route, limit, isBarred, maxBodyBytes: MAX_CLIENT_BODY_BYTES, answer };
  });

  router
    .route('/api/1.1/userinfo')
    .get(limitRate({ perMinute: deps.rateLimitPerMinute, refusal: 'busy' }), async function userInfo(req, res) {
      const { session } = await authenticate(req);
      const { subject, clientId, isAnonymous } = session;
      sendJson(res, 200, { ...toUserInfo(session), sub: subject, clientId, isAnonymous });
    })
    .all(allowOnly('GET'));

  router
    .route('/api/1.1/session/context')
    .get(limitRate({ perMinute: deps.rateLimitPerMinute, refusal: 'busy' }), async function sessionContext(req, res) {
      // SECURITY: for the platform alone. Whoever holds the user's bearer never gets the signed data back.
      const trust = checkTrust(req);
      if (trust !== 'context' && trust !== 'admin') refuseCaller(req, res, adminActs);
      const name = parseSessionId(checkShape(sessionQuery, req.query).sessionId);
      if (trust === 'admin' && !(await adminActs.begin(req, res, toTarget(name)))) return;
      const live = await findSession(name);
      if (!live?.app?.enabled || !isBoundAsAsked(live)) throw new AppError('session_not_found');
      const UserContext = contexts.open(live.id, live.session.sealedContext);
      sendJson(res, 200, { context: { session: { UserContext } } });
    })
    .all(allowOnly('GET'));

  router
    .route('/.well-known/jwks.json')
    .get(async function jwks(_req, res) {
      const keys = await keyring();
      sendJson(res, 200, keys.jwks);
    })
    .all(allowOnly('GET'));

  router
    .route('/.well-known/oauth-authorization-server')
    .get(function metadata(_req, res) {
      sendJson(res, 200, toMetadata(publicUrl()));
    })
    .all(allowOnly('GET'));
  return { router, shortcuts };
}
