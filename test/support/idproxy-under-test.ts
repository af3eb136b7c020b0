import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { ServiceIdentities } from '../../src/gateway/service-calls/identities.ts';
import { createLogger } from '../../src/http/access-log.ts';
import { parseKeyList } from '../../src/http/key-list.ts';
import { createMetrics } from '../../src/http/metrics.ts';
import type { GetText } from '../../src/http/outbound/get-text.ts';
import { MAX_SOCKET_HEADER_BYTES, startServer } from '../../src/http/server.ts';
import { createPlatform, type Platform } from '../../src/cli/create-platform.ts';
import type { Bot } from '../../src/sessions/bots/bot.ts';
import type { ReplayKeyFormats } from '../../src/idproxy/replay-key.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import type { CounterStore, Store } from '../../src/stores/ports.ts';
import { createRedisStore } from '../../src/stores/redis.ts';
import { waitUntilReady } from '../../src/stores/wait-until-ready.ts';
import { createVault, type Vault } from '../../src/vault/vault.ts';
import { Secret } from '../../src/core/secret.ts';
import { createClaims, createRsaPair, type Json, signToken } from './assertions.ts';
import { createFakeClock, type FakeClock } from './fake-clock.ts';
import { createTempFolder, startRedis } from './processes.ts';

export const ADMIN_TOKEN = 'the-admin-token-of-the-tests-000';
/** 2026-01-01T00:00:00Z, where the fake clock starts. */
export const START_AT = 1_767_225_600;

/** An answer, its body parsed. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read members of many shapes
  readonly body: any;
}

/** A registered app and how to sign for it. */
export interface AppUnderTest {
  readonly clientId: string;
  readonly algorithm: string;
  /** The client secret or the private key. */
  readonly key: string;
  /** A token with good claims, changed as asked for. */
  sign(changes?: Json, header?: Json): string;
}

/** An idproxy over HTTP, on a real store, with a clock that the test sets. */
export interface IdproxyUnderTest {
  readonly url: string;
  readonly clock: FakeClock;
  readonly store: Store;
  readonly vault: Vault;
  /** What answers requests, without the network around it. */
  readonly app: Platform['app'];
  request(path: string, init?: RequestInit): Promise<Answer>;
  post(path: string, body: Json, headers?: Record<string, string>): Promise<Answer>;
  /** Posts the assertion to `/authorize`. */
  authorize(assertion: string): Promise<Answer>;
  admin(method: string, path: string, body?: Json): Promise<Answer>;
  register(settings: Json): Promise<AppUnderTest>;
  close(): Promise<void>;
}

/** How a backend is opened for a test, and what it takes to end it. */
export type OpenBackend = (clock: FakeClock) => Promise<{ store: Store; end: () => Promise<void> }>;

export const BACKENDS: Readonly<Record<'embedded' | 'redis', OpenBackend>> = {
  embedded: async (clock) => {
    const folder = await createTempFolder();
    return {
      store: createEmbeddedStore({ path: join(folder, 'test.db'), clock }),
      end: () => rm(folder, { recursive: true, force: true }),
    };
  },
  redis: async () => {
    const redis = await startRedis();
    return {
      store: createRedisStore({ url: new Secret(redis.url), waitReplicas: 0, onProblem: () => undefined }),
      end: () => redis.stop(),
    };
  },
};

/** What a test says of an idproxy. */
export interface IdproxyTraits {
  readonly rateLimitPerMinute?: number;
  readonly replayKeyFormats?: ReplayKeyFormats;
  /** What answers in real-time sessions; there are none where it is left out. */
  readonly bot?: Bot | undefined;
  /** Lines of a key file: callers that may introspect, and that may see the user's context besides. */
  readonly introspectionKeys?: string;
  readonly contextKeys?: string;
  /** Unset: the address it listens on is not what clients are told. */
  readonly isPublicUrlOwn?: boolean;
  /** What reads the key sets of apps. */
  readonly getText?: GetText;
  /** What service calls present. */
  readonly serviceIdentities?: ServiceIdentities;
  /** What counts together with other instances. */
  readonly sharedCounters?: CounterStore | undefined;
}

/** Starts an idproxy on a fresh backend, or, where `open` says so, beside another one. */
export async function startIdproxyUnderTest(
  open: OpenBackend = BACKENDS.embedded,
  {
    rateLimitPerMinute = 1_000_000,
    replayKeyFormats,
    bot,
    introspectionKeys = '',
    contextKeys = '',
    isPublicUrlOwn = false,
    getText,
    serviceIdentities,
    sharedCounters,
  }: IdproxyTraits = {},
): Promise<IdproxyUnderTest> {
  const clock = createFakeClock(START_AT);
  const { store, end } = await open(clock);
  await waitUntilReady(store, 5_000);
  const vault = createVault(Buffer.alloc(32, 7));
  let publicUrl = 'https://idproxy.example';
  const platform = createPlatform(
    {
      publicUrl: () => publicUrl,
      rateLimitPerMinute,
      botTimeoutMs: 2_000,
      connectorsPerCompany: 2,
      gatewayUrls: ['https://gateway.example:8443'],
      cors: { origins: ['https://page.example'], allowLoopback: false, allowCredentials: false },
    },
    {
      store,
      vault,
      clock,
      isAdmin: (token) => token === ADMIN_TOKEN,
      introspectionKeys: parseKeyList(introspectionKeys),
      contextKeys: parseKeyList(contextKeys),
      bot,
      logger: createLogger('silent'),
      metrics: createMetrics(),
      metricsToken: undefined,
      trustProxy: false,
      ...(replayKeyFormats && { replayKeyFormats }),
      getText,
      ...(serviceIdentities && { serviceIdentities }),
      ...(sharedCounters && { sharedCounters }),
    },
  );
  const server = await startServer(
    platform.app,
    { host: '127.0.0.1', port: 0 },
    { onUpgrade: platform.onUpgrade, maxHeaderBytes: MAX_SOCKET_HEADER_BYTES },
  );
  if (isPublicUrlOwn) publicUrl = server.url;

  const request: IdproxyUnderTest['request'] = async (path, init) => {
    const response = await fetch(server.url + path, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  };
  const post: IdproxyUnderTest['post'] = (path, body, headers = {}) =>
    request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  const admin: IdproxyUnderTest['admin'] = (method, path, body) =>
    request(path, {
      method,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${ADMIN_TOKEN}` },
      ...(body && { body: JSON.stringify(body) }),
    });

  return {
    url: server.url,
    clock,
    store,
    vault,
    app: platform.app,
    request,
    post,
    admin,
    authorize: (assertion) => post('/authorize', { assertion }),
    register: async (settings) => {
      const algorithm = (settings['algorithm'] as string | undefined) ?? 'HS256';
      const pair = algorithm.startsWith('RS') ? createRsaPair() : undefined;
      const answer = await admin('POST', '/admin/apps', {
        name: 'Test',
        algorithm,
        ...(pair && { publicKey: pair.publicKey }),
        ...settings,
      });
      if (answer.status !== 201)
        throw new Error(`registration answered ${answer.status} ${JSON.stringify(answer.body)}`);
      const { clientId, clientSecret } = answer.body as { clientId: string; clientSecret?: string };
      const key = pair?.privateKey ?? clientSecret ?? '';
      return {
        clientId,
        algorithm,
        key,
        sign: (changes, header = { alg: algorithm, typ: 'JWT' }) =>
          signToken(header, createClaims(clientId, clock.nowSeconds(), changes), algorithm, key),
      };
    },
    close: async () => {
      await Promise.all([server.close(), platform.close()]);
      await store.close();
      await end();
    },
  };
}

/** The seeds' error body. */
export function seedsError(status: number, msg: string): Json {
  return { errors: [{ msg, code: status }] };
}
