import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';

import { describeFailures } from '../http/openapi-failures.ts';
import {
  HEADERS_TOO_LARGE,
  IDPROXY_SERVER,
  SEEDS,
  toBodyFailures,
  toCurlSample,
  toJsonResponse,
  toRequestBody,
} from '../http/openapi-responses.ts';
import {
  historyQuery,
  historyResponse,
  rtmStartRequest,
  rtmStartResponse,
  themePath,
  themeResponse,
} from './schemas.ts';

const forbidden = describeFailures('RealTimeForbidden', 'seeds', [
  'client_forbidden',
  'bearer_unbound',
  'bot_forbidden',
]);
const realTimeUnavailable = describeFailures('RealTimeUnavailable', 'seeds', ['realtime_unavailable']);
const busy = describeFailures('Busy', 'seeds', ['busy']);
const badQuery = describeFailures('BadQuery', 'seeds', ['invalid_request']);

const failures = { 431: HEADERS_TOO_LARGE, 500: SEEDS.internal, 503: SEEDS.busyOrUnavailable };
const bodyFailures = { 400: SEEDS.badRequest, ...toBodyFailures(SEEDS), ...failures };
const servers = [IDPROXY_SERVER];
const WITH_BEARER = `printf 'authorization: bearer %s' "$BEARER" | curl -s -H @-`;

const toStartOperation = (operationId: string, summary: string, path: string): ZodOpenApiOperationObject => ({
  operationId,
  tags: ['Bearer'],
  summary,
  description:
    'Hands out the URL of one web socket, to be opened within 30 seconds, once. Clients that send `x-rtm-v`, and those of an app with ' +
    '`requireSecureRtm`, get a nonce, too, which the socket must show ("secure RTM"). ' +
    '401 means only that the bearer is expired or unknown: clients then fetch a new assertion.',
  security: [{ bearer: [] }, { boundBearer: [] }],
  parameters: [
    {
      name: 'x-rtm-v',
      in: 'header',
      required: false,
      description: 'That the client can show a nonce.',
      schema: { type: 'string' },
      example: '1',
    },
  ],
  requestBody: { ...toRequestBody(rtmStartRequest), required: false },
  responses: {
    ...bodyFailures,
    200: toJsonResponse('Where the socket is opened.', rtmStartResponse),
    401: SEEDS.bearer,
    403: forbidden,
    404: realTimeUnavailable,
  },
  ...toCurlSample(
    `${WITH_BEARER} "$IDPROXY${path}" \\\n` +
      `  -H 'content-type: application/json' -d '{"botInfo":{"chatBot":"Bot","taskBotId":"st-1"}}'`,
  ),
});

const toHistoryOperation = (operationId: string, summary: string, path: string): ZodOpenApiOperationObject => ({
  operationId,
  tags: ['Bearer'],
  summary,
  description:
    "What the bearer's user and one bot said in the conversation that is going on: at most its last 50 messages. Published clients read it when their socket is open.",
  security: [{ bearer: [] }, { boundBearer: [] }],
  requestParams: { query: historyQuery },
  responses: {
    ...failures,
    200: toJsonResponse('A page of the conversation.', historyResponse),
    400: badQuery,
    401: SEEDS.bearer,
    403: forbidden,
  },
  ...toCurlSample(`${WITH_BEARER} "$IDPROXY${path}?botId=st-1&limit=10"`),
});

const toThemeOperation = (operationId: string, summary: string, path: string): ZodOpenApiOperationObject => ({
  operationId,
  tags: ['Bearer'],
  summary,
  description: 'Published clients ask for a theme. There are none, so that they keep their own.',
  security: [],
  requestParams: { path: themePath },
  responses: { 200: toJsonResponse('No theme.', themeResponse), 400: SEEDS.badPath, 431: HEADERS_TOO_LARGE, 503: busy },
  ...toCurlSample(`curl -s "$IDPROXY${path.replace('{botId}', 'st-1')}"`),
});

const toGet = (
  toOperation: typeof toHistoryOperation,
  operationId: string,
  summary: string,
  path: string,
): ZodOpenApiPathsObject => ({ [path]: { servers, get: toOperation(operationId, summary, path) } });

/** Real-time sessions: what is asked for around the socket. */
export const SESSION_PATHS: ZodOpenApiPathsObject = {
  '/api/rtm/start': { servers, post: toStartOperation('startRealTime', 'Start a real-time session', '/api/rtm/start') },
  '/api/1.1/rtm/start': {
    servers,
    post: toStartOperation(
      'startRealTimeVersioned',
      'Start a real-time session, under the versioned path',
      '/api/1.1/rtm/start',
    ),
  },
  ...toGet(toHistoryOperation, 'readMessages', 'Read the conversation', '/api/botmessages/rtm'),
  ...toGet(
    toHistoryOperation,
    'readMessagesVersioned',
    'Read the conversation, under the versioned path',
    '/api/1.1/botmessages/rtm',
  ),
  ...toGet(toThemeOperation, 'readTheme', "Read a bot's theme", '/api/websdkthemes/{botId}/activetheme'),
  ...toGet(
    toThemeOperation,
    'readThemeVersioned',
    "Read a bot's theme, under the versioned path",
    '/api/1.1/websdkthemes/{botId}/activetheme',
  ),
};
