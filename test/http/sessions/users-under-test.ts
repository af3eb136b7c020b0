import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { Redis } from 'ioredis';

import { Secret } from '../../../src/core/secret.ts';
import { createEmbeddedStore } from '../../../src/stores/embedded.ts';
import { createRedisStore } from '../../../src/stores/redis.ts';
import type { Json } from '../../support/assertions.ts';
import {
  type Answer,
  type AppUnderTest,
  type IdproxyTraits,
  type IdproxyUnderTest,
  type OpenBackend,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';
import { createTempFolder, startRedis } from '../../support/processes.ts';

const GRANT = '/api/oAuth/token/jwtgrant';

/** A backend that several idproxies open, and that a test looks into from outside. */
export interface SharedBackend {
  readonly open: OpenBackend;
  /** Everything that is stored, as it is stored. */
  dump(): Promise<string>;
  /** How long each key still lives, in milliseconds; -1 for ever. Redis alone. */
  readLivesMs(): Promise<Map<string, number>>;
}

/** Asks Redis itself, with all of its keys. */
async function looking<T>(url: string, ask: (client: Redis, keys: readonly string[]) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await ask(client, await client.keys('*'));
  } finally {
    client.disconnect();
  }
}

/** Calls `end` when as many have ended as had begun: a server is closed before the store that it closes. */
function untilAllEnded(end: () => Promise<void>): () => () => Promise<void> {
  let users = 0;
  return () => {
    users += 1;
    return async () => {
      users -= 1;
      if (users === 0) await end();
    };
  };
}

/** Backends that go with the last idproxy on them. */
export const SHARED_BACKENDS: Readonly<Record<'embedded' | 'redis', () => Promise<SharedBackend>>> = {
  embedded: async () => {
    const folder = await createTempFolder();
    const share = untilAllEnded(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, 'test.db');
    return {
      open: (clock) => Promise.resolve({ store: createEmbeddedStore({ path, clock }), end: share() }),
      dump: async () => {
        const files = await Promise.all([path, `${path}-wal`].map((file) => readFile(file, 'latin1')));
        return files.join('');
      },
      readLivesMs: () => Promise.resolve(new Map()),
    };
  },
  redis: async () => {
    const redis = await startRedis();
    const share = untilAllEnded(() => redis.stop());
    const url = new Secret(redis.url);
    return {
      open: () =>
        Promise.resolve({
          store: createRedisStore({ url, waitReplicas: 0, onProblem: () => undefined }),
          end: share(),
        }),
      dump: () =>
        looking(redis.url, async (client, keys) => {
          const values = keys.map(async (key) => {
            const type = await client.type(key);
            if (type === 'hash') return JSON.stringify(await client.hgetall(key));
            if (type === 'list') return JSON.stringify(await client.lrange(key, 0, -1));
            return type === 'string' ? `${key} ${await client.get(key)}` : key;
          });
          return (await Promise.all(values)).join('\n');
        }),
      readLivesMs: () =>
        looking(
          redis.url,
          async (client, keys) =>
            new Map(await Promise.all(keys.map(async (key) => [key, await client.pttl(key)] as const))),
        ),
    };
  },
};

/** An idproxy that goes with its test. */
export async function startIdproxy(
  t: TestContext,
  open: OpenBackend,
  traits?: IdproxyTraits,
): Promise<IdproxyUnderTest> {
  const idproxy = await startIdproxyUnderTest(open, traits);
  t.after(() => idproxy.close());
  return idproxy;
}

/** A user who signed in. */
export interface UserUnderTest {
  readonly bearer: string;
  readonly userId: string;
}

/** Presents an assertion as the web client does. */
export function present(idproxy: IdproxyUnderTest, assertion: string, more: Json = {}): Promise<Answer> {
  return idproxy.post(GRANT, { assertion, ...more });
}

/** Signs a user in; `claims` changes those of a good assertion. */
export async function signIn(
  idproxy: IdproxyUnderTest,
  app: AppUnderTest,
  claims: Json,
  more?: Json,
): Promise<UserUnderTest> {
  const { status, body } = await present(idproxy, app.sign(claims), more);
  assert.equal(status, 200, JSON.stringify(body));
  return { bearer: body.authorization.accessToken, userId: body.userInfo.userId };
}

/** That a bearer opens nothing: 401 with the sentence that makes clients fetch a new assertion. */
export async function assertDead(idproxy: IdproxyUnderTest, bearer: string): Promise<void> {
  const headers = { authorization: `bearer ${bearer}` };
  const answers = [
    await idproxy.request('/api/1.1/userinfo', { headers }),
    await idproxy.post('/api/rtm/start', { botInfo: { taskBotId: 'st-1' } }, headers),
  ];
  for (const { status, body } of answers) {
    assert.equal(status, 401);
    assert.deepEqual(body, { errors: [{ msg: 'the bearer token is expired or unknown', code: 401 }] });
  }
}

/** That a bearer is a user's. */
export async function assertAlive(idproxy: IdproxyUnderTest, { bearer, userId }: UserUnderTest): Promise<void> {
  const { status, body } = await idproxy.request('/api/1.1/userinfo', {
    headers: { authorization: `bearer ${bearer}` },
  });
  assert.deepEqual([status, body.userId], [200, userId]);
}

/** A user by name, as the admin finds them. */
export function lookUp(
  idproxy: IdproxyUnderTest,
  { clientId }: AppUnderTest,
  subject: string,
  isAnonymous = false,
): Promise<Answer> {
  return idproxy.admin('POST', '/admin/identities/look-up', { clientId, subject, isAnonymous });
}

/** The id of a user's conversation. @throws where the user or the conversation is not there */
export async function readConversation(...args: Parameters<typeof lookUp>): Promise<string> {
  const { status, body } = await lookUp(...args);
  assert.equal(status, 200, JSON.stringify(body));
  return body.conversation.id;
}

/** Says something in a user's conversation, as the socket would keep it. */
export async function say(
  idproxy: IdproxyUnderTest,
  userId: string,
  conversation: string,
  text: string,
): Promise<void> {
  const sealed = idproxy.vault.seal(JSON.stringify({ text }), `message:${conversation}`);
  await idproxy.store.conversations.append(userId.slice(2), conversation, [sealed], 50);
}

/** What was said, as the export tells it. */
export async function readTexts(idproxy: IdproxyUnderTest, userId: string): Promise<string[]> {
  const { status, body } = await idproxy.admin('GET', `/admin/identities/${userId}/export`);
  assert.equal(status, 200, JSON.stringify(body));
  return body.messages.map(({ text }: { text: string }) => text);
}
