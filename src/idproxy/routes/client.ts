import { Router, type RequestHandler } from 'express';

import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import { readBody } from '../../http/body.ts';
import { checkShape } from '../../http/check.ts';
import { allowOnly } from '../../http/refusals.ts';
import { limitRate } from '../../http/rate-limit.ts';
import { sendJson } from '../../http/respond.ts';
import type { Keyring } from '../../jose/keyring.ts';
import type { Authenticate } from '../authenticate.ts';
import type { Exchange } from '../exchange.ts';
import { toAuthorizeResponse, toJwtGrantResponse, toMetadata, toUserInfo } from '../respond.ts';
import { authorizeRequest, jwtGrantRequest, rtmStartRequest } from '../schemas.ts';

/** A body with an assertion, in bytes: room for the largest assertion and for `botInfo` beside it. */
export const MAX_CLIENT_BODY_BYTES = 65_536;

export interface ClientRoutesDeps {
  readonly exchange: Exchange;
  readonly authenticate: Authenticate;
  readonly keyring: () => Promise<Keyring>;
  readonly clock: Clock;
  readonly publicUrl: () => string;
  readonly rateLimitPerMinute: number;
}

/** What the published clients and the holders of a bearer call; failures in the seeds' shape. */
export function createClientRoutes(deps: ClientRoutesDeps): Router {
  const { exchange, authenticate, keyring, clock, publicUrl } = deps;
  const router = Router({ caseSensitive: true });
  const guard = (): RequestHandler[] => [
    limitRate({ perMinute: deps.rateLimitPerMinute, refusal: 'busy' }),
    readBody(MAX_CLIENT_BODY_BYTES),
  ];

  router
    .route('/authorize')
    .post(...guard(), async function authorize(req, res) {
      const { assertion } = checkShape(authorizeRequest, req.body);
      const grant = await exchange(assertion);
      sendJson(res, 200, toAuthorizeResponse(grant, clock.nowSeconds()));
    })
    .all(allowOnly('POST'));

  router
    .route(['/api/oAuth/token/jwtgrant', '/api/1.1/oAuth/token/jwtgrant'])
    .post(...guard(), async function jwtGrant(req, res) {
      const { assertion, botInfo } = checkShape(jwtGrantRequest, req.body);
      sendJson(res, 200, toJwtGrantResponse(await exchange(assertion, botInfo?.taskBotId)));
    })
    .all(allowOnly('POST'));

  router
    .route('/api/1.1/userinfo')
    .get(limitRate({ perMinute: deps.rateLimitPerMinute, refusal: 'busy' }), async function userInfo(req, res) {
      const { session } = await authenticate(req);
      const { subject, clientId, isAnonymous } = session;
      sendJson(res, 200, { ...toUserInfo(session), sub: subject, clientId, isAnonymous });
    })
    .all(allowOnly('GET'));

  router
    .route(['/api/rtm/start', '/api/1.1/rtm/start'])
    .post(...guard(), async function startRealTime(req) {
      const { app } = await authenticate(req);
      const botId = checkShape(rtmStartRequest, req.body).botInfo?.taskBotId;
      if (app.bots.length > 0 && !app.bots.includes(botId ?? '')) throw new AppError('bot_forbidden');
      throw new AppError('realtime_unavailable');
    })
    .all(allowOnly('POST'));

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
  return router;
}
