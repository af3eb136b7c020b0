import { createHash, randomUUID } from 'node:crypto';

import type { JsonObject } from '../../src/core/json.ts';
import { createEchoBot } from '../../src/sessions/bots/echo-bot.ts';
import type { Operation, RawAnswer } from '../support/openapi.ts';
import {
  ADMIN_TOKEN,
  type AppUnderTest,
  type IdproxyUnderTest,
  startIdproxyUnderTest,
} from '../support/idproxy-under-test.ts';
import type { CallerPort } from './openapi-caller-port.ts';
import { GATEWAY_CALLS } from './openapi-gateway.ts';
import { APP_KEY_CALLS } from './openapi-app-keys.ts';
import { PLATFORM_KEY_CALLS } from './openapi-platform-keys.ts';
import { SERVICE_CALLS } from './openapi-service-calls.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** An idproxy with an app, and the bearer of a user. */
export interface World {
  readonly idproxy: IdproxyUnderTest;
  readonly app: AppUnderTest;
  readonly bearer: string;
  /** A gateway on the same store. */
  readonly gateway?: CallerPort;
}

/** Starts an idproxy with a bot as {@link startIdproxyUnderTest} does, registers an app and signs a user in. */
export async function createWorld(...args: Parameters<typeof startIdproxyUnderTest>): Promise<World> {
  const [open, traits] = args;
  const idproxy = await startIdproxyUnderTest(open, { bot: createEchoBot(), ...traits });
  const app = await idproxy.register({ algorithm: 'HS256' });
  return { idproxy, app, bearer: await signIn(idproxy, app) };
}

/** A bearer of that app's user. */
export async function signIn(idproxy: IdproxyUnderTest, app: AppUnderTest): Promise<string> {
  return ((await idproxy.authorize(app.sign())).body as { access_token: string }).access_token;
}

/** The public name of a bearer's session. */
export function toSessionId(bearer: string): string {
  return `${bearer.slice(4, 8)}.${createHash('sha256').update(bearer).digest('base64url')}`;
}

/** The user id of a new user of that app. */
export async function registerUser(idproxy: IdproxyUnderTest, { clientId }: AppUnderTest): Promise<string> {
  const { body } = await idproxy.admin('POST', '/admin/identities', { clientId, subject: `user-${randomUUID()}` });
  return (body as { userId: string }).userId;
}

/** What is sent, besides method and path. */
export interface Call {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: JsonObject;
  /** Fills `{id}`, of a connector or a caller. */
  readonly id?: string;
  /** Fills `{serial}`. */
  readonly serial?: string;
  /** Fills `{clientId}`. */
  readonly clientId?: string;
  /** Fills `{userId}`. */
  readonly userId?: string;
  /** Fills `{kid}`. */
  readonly kid?: string;
  /** Fills `{botId}`. */
  readonly botId?: string;
  readonly query?: Readonly<Record<string, string>>;
}

/** A good request of every operation, by its id. */
export const GOOD_CALLS: Readonly<Record<string, (world: World) => Call | Promise<Call>>> = {
  ...GATEWAY_CALLS,
  ...SERVICE_CALLS,
  ...APP_KEY_CALLS,
  ...PLATFORM_KEY_CALLS,
  mintAssertion: () => ({ body: { identity: 'alice@example.com', isAnonymous: 'false', aud: '' } }),
  mintAssertionForMobile: () => ({ body: { identity: 'alice@example.com', clientId: 'x', clientSecret: 'y' } }),
  authorize: ({ app }) => ({ body: { assertion: app.sign() } }),
  grantJwt: ({ app }) => ({ body: { assertion: app.sign(), botInfo: { chatBot: 'Bot', taskBotId: 'st-1' } } }),
  grantJwtVersioned: ({ app }) => ({ body: { assertion: app.sign() } }),
  requestToken: ({ app }) => ({ body: { grant_type: JWT_BEARER, assertion: app.sign(), scope: '' } }),
  introspectToken: ({ bearer }) => ({ body: { token: bearer } }),
  revokeToken: async ({ idproxy, app }) => ({
    body: { token: await signIn(idproxy, app), token_type_hint: 'access_token' },
  }),
  explainToken: ({ app }) => ({ body: { token: app.sign() } }),
  startRealTime: () => ({ body: { botInfo: { taskBotId: 'st-1' } } }),
  startRealTimeVersioned: () => ({ body: {} }),
  readMessages: () => ({ query: { botId: 'st-1', limit: '10' } }),
  readMessagesVersioned: () => ({ query: { botId: 'st-1' } }),
  getSessionContext: ({ bearer }) => ({ query: { sessionId: toSessionId(bearer) } }),
  createApp: () => ({ body: { name: 'Web chat', algorithm: 'HS512', bots: ['st-1'], jwe: { required: true } } }),
  getApp: ({ app }) => ({ clientId: app.clientId }),
  updateApp: ({ app }) => ({ clientId: app.clientId, body: { name: 'Other name' } }),
  listIdentities: ({ app }) => ({ query: { clientId: app.clientId, limit: '1' } }),
  registerIdentity: ({ app }) => ({ body: { clientId: app.clientId, subject: `user-${randomUUID()}` } }),
  lookUpIdentity: ({ app }) => ({ body: { clientId: app.clientId, subject: 'alice@example.com' } }),
  getIdentity: async ({ idproxy, app }) => ({ userId: await registerUser(idproxy, app) }),
  exportIdentity: async ({ idproxy, app }) => ({ userId: await registerUser(idproxy, app) }),
  eraseIdentity: async ({ idproxy, app }) => ({ userId: await registerUser(idproxy, app) }),
  deleteApp: async ({ idproxy }) => ({ clientId: (await idproxy.register({ algorithm: 'HS256' })).clientId }),
  ...Object.fromEntries(
    [
      'getUserInfo',
      'getJwks',
      'getMetadata',
      'listApps',
      'listAudit',
      'getHealth',
      'getReadiness',
      'getMetrics',
      'readTheme',
      'readThemeVersioned',
    ].map((id) => [id, () => ({})]),
  ),
};

/** The credential that an operation asks for. */
export function toCredential(
  { security }: Operation,
  { bearer, gateway }: Pick<World, 'bearer' | 'gateway'>,
): Record<string, string> {
  const tokens = { adminToken: ADMIN_TOKEN, bearer, callerToken: gateway?.token ?? '' };
  for (const [name, token] of Object.entries(tokens)) {
    if (security.some((one) => name in one)) return { authorization: `Bearer ${token}` };
  }
  return {};
}

/** A body as JSON, ready to be sent. */
export function toJsonCall(body: JsonObject | undefined) {
  return body === undefined
    ? { headers: {} }
    : { headers: { 'content-type': 'application/json' }, text: JSON.stringify(body) };
}

/** A flat or once nested body as a form, ready to be sent. */
export function toFormCall(body: JsonObject) {
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries(body)) {
    if (typeof value !== 'object' || value === null) fields.append(name, String(value));
    else for (const [inner, text] of Object.entries(value)) fields.append(`${name}[${inner}]`, String(text));
  }
  return { headers: { 'content-type': 'application/x-www-form-urlencoded' }, text: fields.toString() };
}

/** Sends a request and reads its whole answer. */
export async function send(
  baseUrl: string,
  { method, path }: Operation,
  {
    headers = {},
    text,
    id = 'x',
    serial = 'ff',
    clientId = 'cs-nobody',
    userId = 'u-nobody',
    botId = 'st-1',
    kid = 'nobody',
    query = {},
  }: Omit<Call, 'body'> & { readonly text?: string },
): Promise<RawAnswer> {
  const values: Readonly<Record<string, string>> = { id, serial, clientId, userId, botId, kid };
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? name);
  const search = new URLSearchParams(query).toString();
  const url = baseUrl + filled + (search && `?${search}`);
  const answer = await fetch(url, { method, headers, ...(text !== undefined && { body: text }) });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}
