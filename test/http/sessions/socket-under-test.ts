import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';

import type { JWK } from 'jose';
import { pino } from 'pino';
import { WebSocket } from 'ws';

import { createPlatform } from '../../../src/cli/create-platform.ts';
import { parseKeyList } from '../../../src/http/key-list.ts';
import { createMetrics, type Metrics } from '../../../src/http/metrics.ts';
import { MAX_SOCKET_HEADER_BYTES, startServer } from '../../../src/http/server.ts';
import type { Bot } from '../../../src/sessions/bots/bot.ts';
import type { SocketLimits } from '../../../src/sessions/socket/limits.ts';
import type { Store } from '../../../src/stores/ports.ts';
import { waitUntilReady } from '../../../src/stores/wait-until-ready.ts';
import { createVault } from '../../../src/vault/vault.ts';
import { assertDescribed } from '../../support/asyncapi.ts';
import { createClaims, type Json, signToken } from '../../support/assertions.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { ADMIN_TOKEN, type Answer, BACKENDS, type OpenBackend, START_AT } from '../../support/idproxy-under-test.ts';

const PATIENCE_MS = 8_000;

/** Repeats what was said. */
export const ECHO: Bot = {
  name: 'test-echo',
  onMessage: (_session, { text }) => Promise.resolve([{ text: `echo: ${text}` }]),
};

export interface SocketTraits {
  readonly bot?: Bot | undefined;
  readonly botTimeoutMs?: number;
  readonly limits?: Partial<SocketLimits>;
  readonly publicUrl?: string;
  readonly clock?: FakeClock;
  readonly rateLimitPerMinute?: number;
}

/** A platform with its sockets. */
export interface PlatformUnderTest {
  readonly url: string;
  readonly port: number;
  readonly clock: FakeClock;
  readonly store: Store;
  readonly metrics: Metrics;
  /** Every line of its log. */
  readonly lines: string[];
  request(method: string, path: string, init?: { token?: string; body?: Json; headers?: Json }): Promise<Answer>;
  admin(method: string, path: string, body?: Json): Promise<Answer>;
  register(settings?: Json): Promise<{ clientId: string; jwk?: JWK; sign(changes?: Json): string }>;
  exchange(assertion: string): Promise<string>;
  start(bearer: string, options?: { botId?: string; headers?: Json; path?: string }): Promise<Answer>;
  /** Exchanges, starts and opens. */
  connect(app: { sign(changes?: Json): string }, subject?: string): Promise<Client & { readonly bearer: string }>;
  close(): Promise<void>;
}

/** Starts a platform on a backend; `open` may name one that others use, too. */
export async function startPlatformUnderTest(
  open: OpenBackend = BACKENDS.embedded,
  traits: SocketTraits = {},
): Promise<PlatformUnderTest> {
  const clock = traits.clock ?? createFakeClock(START_AT);
  const { store, end } = await open(clock);
  await waitUntilReady(store, 5_000);
  const lines: string[] = [];
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(...chunk.toString().split('\n').filter(Boolean));
      done();
    },
  });
  const metrics = createMetrics();
  let publicUrl = traits.publicUrl ?? '';
  const platform = createPlatform(
    {
      publicUrl: () => publicUrl,
      rateLimitPerMinute: traits.rateLimitPerMinute ?? 1_000_000,
      botTimeoutMs: traits.botTimeoutMs ?? 2_000,
      connectorsPerCompany: 2,
      gatewayUrls: ['https://gateway.example:8443'],
      ...(traits.limits && { socketLimits: traits.limits }),
      cors: { origins: [], allowLoopback: false, allowCredentials: false },
    },
    {
      store,
      vault: createVault(Buffer.alloc(32, 7)),
      clock,
      isAdmin: (token) => token === ADMIN_TOKEN,
      introspectionKeys: parseKeyList(''),
      contextKeys: parseKeyList(''),
      bot: 'bot' in traits ? traits.bot : ECHO,
      logger: pino({ level: 'debug' }, sink),
      metrics,
      metricsToken: undefined,
      trustProxy: false,
    },
  );
  const server = await startServer(
    platform.app,
    { host: '127.0.0.1', port: 0 },
    { onUpgrade: platform.onUpgrade, maxHeaderBytes: MAX_SOCKET_HEADER_BYTES },
  );
  publicUrl ||= server.url;

  const request: PlatformUnderTest['request'] = async (method, path, { token, body, headers = {} } = {}) => {
    const response = await fetch(server.url + path, {
      method,
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `bearer ${token}` }),
        ...(headers as Record<string, string>),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  };
  const admin: PlatformUnderTest['admin'] = (method, path, body) =>
    request(method, path, { token: ADMIN_TOKEN, ...(body && { body }) });
  const exchange: PlatformUnderTest['exchange'] = async (assertion) => {
    const { status, body } = await request('POST', '/authorize', { body: { assertion } });
    if (status !== 200) throw new Error(`the exchange answered ${status} ${JSON.stringify(body)}`);
    return (body as { access_token: string }).access_token;
  };
  const start: PlatformUnderTest['start'] = (token, { botId = 'st-1', headers = {}, path = '/api/rtm/start' } = {}) =>
    request('POST', path, { token, body: { botInfo: { chatBot: 'Bot', taskBotId: botId }, token: {} }, headers });

  return {
    url: server.url,
    port: server.port,
    clock,
    store,
    metrics,
    lines,
    request,
    admin,
    exchange,
    start,
    register: async (settings = {}) => {
      const { status, body } = await admin('POST', '/admin/apps', { name: 'Test', algorithm: 'HS256', ...settings });
      if (status !== 201) throw new Error(`registration answered ${status} ${JSON.stringify(body)}`);
      const { clientId, clientSecret, jwk } = body as { clientId: string; clientSecret: string; jwk?: JWK };
      return {
        clientId,
        ...(jwk && { jwk }),
        sign: (changes) =>
          signToken(
            { alg: 'HS256', typ: 'JWT' },
            createClaims(clientId, clock.nowSeconds(), changes),
            'HS256',
            clientSecret,
          ),
      };
    },
    connect: async (app, subject = 'alice@example.com') => {
      const bearer = await exchange(app.sign({ sub: subject }));
      const { status, body } = await start(bearer);
      if (status !== 200) throw new Error(`the start answered ${status} ${JSON.stringify(body)}`);
      return Object.assign(await openClient((body as { url: string }).url), { bearer });
    },
    close: async () => {
      await Promise.all([server.close(), platform.close()]);
      await store.close();
      await end();
    },
  };
}

// oxlint-disable-next-line typescript/no-explicit-any -- tests read members of many frames
export type Frame = any;

/** A real client of a socket. */
export interface Client {
  readonly ws: WebSocket;
  readonly frames: Frame[];
  say(text: string, id?: number | string): void;
  /** Waits for a frame. @throws with the frames that came */
  until(isIt: (frame: Frame) => boolean): Promise<Frame>;
  /** The texts of the bot so far. */
  texts(): string[];
  /** Waits for the close. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

/** Opens a socket and waits for its `ready`. @throws where the upgrade is refused */
export async function openClient(url: string, protocols: string[] = []): Promise<Client> {
  const ws = new WebSocket(url, protocols, { perMessageDeflate: true });
  const frames: Frame[] = [];
  ws.on('message', (data: Buffer) => {
    const frame: Frame = JSON.parse(data.toString());
    // Every frame that any test receives is held against the published description.
    assertDescribed('receive', frame);
    frames.push(frame);
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  const client: Client = {
    ws,
    frames,
    closed,
    say: (text, id = 1) =>
      ws.send(
        JSON.stringify({
          clientMessageId: id,
          resourceid: '/bot.message',
          message: { body: text },
          botInfo: { chatBot: 'Bot', taskBotId: 'st-1' },
          client: 'sdk',
          meta: { timezone: 'Etc/UTC', locale: 'en-US' },
          id,
        }),
      ),
    until: async (isIt) => {
      const found = await eventually(() => frames.find(isIt)).catch(() => undefined);
      if (found === undefined) throw new Error(`waited in vain; there were ${JSON.stringify(frames)}`);
      return found;
    },
    texts: () => frames.filter(({ type }) => type === 'bot_response').map(({ message }) => message[0].cInfo.body),
  };
  await once(ws, 'open');
  await client.until(({ type }) => type === 'ready');
  return client;
}

/** Tries to open a socket that must be refused. */
export function openRefused(
  url: string,
  protocols: string[] = [],
  headers: Record<string, string> = {},
): Promise<{ readonly status: number; readonly headers: IncomingMessage['headers']; readonly body: Frame }> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, protocols, { headers });
    ws.once('open', () => {
      ws.terminate();
      reject(new Error('the socket was opened'));
    });
    ws.once('error', reject);
    ws.once('unexpected-response', (_request, response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(text) }),
      );
    });
  });
}

/** Waits until something is there. @throws when the patience ends */
export async function eventually<T>(look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error('waited in vain');
    await setTimeout(10);
  }
}
