import { Router } from 'express';

import { AppError } from '../../core/errors.ts';
import { readBody } from '../../http/body.ts';
import { checkShape } from '../../http/check.ts';
import type { Routes } from '../../http/create-app.ts';
import { limitRate } from '../../http/rate-limit.ts';
import { allowOnly } from '../../http/refusals.ts';
import { sendJson } from '../../http/respond.ts';
import { type History, toHistoryMessage, toHistoryPage } from '../history.ts';
import type { BearerSessions } from '../live-session.ts';
import { historyQuery, rtmStartRequest } from '../schemas.ts';
import { toIcon } from '../socket/frames.ts';
import type { Start } from '../start.ts';

/** The body of a start, in bytes: room for `botInfo`. */
export const MAX_START_BODY_BYTES = 65_536;

export interface RealTimeRoutesDeps {
  readonly bearers: Pick<BearerSessions, 'authenticate'>;
  readonly start: Start;
  readonly history: Pick<History, 'read'>;
  readonly rateLimitPerMinute: number;
}

/** What the published clients call around their socket; failures in the seeds' shape, never 429. */
export function createRealTimeRoutes({ bearers, start, history, rateLimitPerMinute }: RealTimeRoutesDeps): Routes {
  const router = Router({ caseSensitive: true });
  const limit = () => limitRate({ perMinute: rateLimitPerMinute, refusal: 'busy' });

  router
    .route(['/api/rtm/start', '/api/1.1/rtm/start'])
    .post(limit(), readBody(MAX_START_BODY_BYTES), async function startRealTime(req, res) {
      const live = await bearers.authenticate(req);
      const botId = checkShape(rtmStartRequest, req.body).botInfo?.taskBotId ?? '';
      sendJson(res, 200, await start(live, { botId, isSecure: req.headers['x-rtm-v'] !== undefined }));
    })
    .all(allowOnly('POST'));

  router
    .route(['/api/botmessages/rtm', '/api/1.1/botmessages/rtm'])
    .get(limit(), async function readHistory(req, res) {
      const { app, conversation } = await bearers.authenticate(req);
      const { botId, ...page } = checkShape(historyQuery, req.query);
      if (app.bots.length > 0 && !app.bots.includes(botId)) throw new AppError('bot_forbidden');
      const { messages, moreAvailable } = toHistoryPage(await history.read(conversation, botId), page);
      sendJson(res, 200, { messages: messages.map(toHistoryMessage), moreAvailable, icon: toIcon(messages) });
    })
    .all(allowOnly('GET'));

  router
    .route(['/api/websdkthemes/:botId/activetheme', '/api/1.1/websdkthemes/:botId/activetheme'])
    .get(limit(), function readTheme(_req, res) {
      // No theme: clients keep the page's own. They would take a 404 for the same, and the browser shows it as an error.
      sendJson(res, 200, {});
    })
    .all(allowOnly('GET'));
  return [router];
}
