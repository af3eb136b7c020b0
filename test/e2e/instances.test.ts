import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

import { createClaims, type Json, signToken } from '../support/assertions.ts';
import { type CountersignProcess, type RedisProcess, startCountersign, startRedis } from '../support/processes.ts';
import { type Client, openClient, openRefused } from '../http/sessions/socket-under-test.ts';

const ADMIN_TOKEN = 'the-admin-token-of-this-test-000';
/** How soon a socket on one instance is closed by what is done on the other. */
const CLOSE_WITHIN_MS = 1_000;

/** A registered app and how to sign for it. */
interface SdkApp {
  readonly clientId: string;
  sign(changes?: Json): string;
}

/** A user who is signed in. */
interface User {
  readonly bearer: string;
  readonly userId: string;
}

async function call(url: string, body: Json, token: string): Promise<Response> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function admin({ idproxyUrl }: CountersignProcess, method: string, path: string, body?: Json): Promise<Response> {
  return fetch(`${idproxyUrl}${path}`, {
    method,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${ADMIN_TOKEN}` },
    ...(body && { body: JSON.stringify(body) }),
  });
}

async function register(at: CountersignProcess, settings: Json = {}): Promise<SdkApp> {
  const response = await admin(at, 'POST', '/admin/apps', { name: 'Chat', algorithm: 'HS256', ...settings });
  assert.equal(response.status, 201);
  const { clientId, clientSecret } = (await response.json()) as { clientId: string; clientSecret: string };
  return {
    clientId,
    sign: (changes) =>
      signToken(
        { alg: 'HS256', typ: 'JWT' },
        createClaims(clientId, Date.now() / 1000, changes),
        'HS256',
        clientSecret,
      ),
  };
}

async function signIn({ idproxyUrl }: CountersignProcess, app: SdkApp, claims: Json = {}): Promise<User> {
  const response = await call(`${idproxyUrl}/api/oAuth/token/jwtgrant`, { assertion: app.sign(claims) }, '');
  assert.equal(response.status, 200);
  const { authorization, userInfo } = (await response.json()) as {
    authorization: { accessToken: string };
    userInfo: { userId: string };
  };
  return { bearer: authorization.accessToken, userId: userInfo.userId };
}

/** The URL of a socket on `to`, from a start on `from`: what a load balancer makes of it. */
async function start(from: CountersignProcess, to: CountersignProcess, { bearer }: User): Promise<string> {
  const body = { botInfo: { chatBot: 'Bot', taskBotId: 'st-1' }, token: {} };
  const response = await call(`${from.idproxyUrl}/api/rtm/start`, body, bearer);
  assert.equal(response.status, 200, await response.clone().text());
  const url = new URL(((await response.json()) as { url: string }).url);
  url.port = String(to.idproxyPort);
  return url.href;
}

async function say(client: Client, words: string): Promise<void> {
  client.say(words);
  await client.until(({ message }) => message?.[0].cInfo.body === `You said: ${words}`);
}

async function readTexts({ idproxyUrl }: CountersignProcess, { bearer }: User): Promise<string> {
  const headers = { authorization: `bearer ${bearer}` };
  const response = await fetch(`${idproxyUrl}/api/botmessages/rtm?botId=st-1&limit=50`, { headers });
  assert.equal(response.status, 200);
  return response.text();
}

async function askUserInfo({ idproxyUrl }: CountersignProcess, { bearer }: User): Promise<number> {
  const response = await fetch(`${idproxyUrl}/api/1.1/userinfo`, { headers: { authorization: `bearer ${bearer}` } });
  return response.status;
}

/** That a socket is closed at once, and how. */
async function assertClosed(client: Client, codes: readonly number[], since: number): Promise<void> {
  const { code } = await client.closed;
  assert.ok(codes.includes(code), `closed with ${code}`);
  const tookMs = performance.now() - since;
  assert.ok(tookMs < CLOSE_WITHIN_MS, `closed after ${Math.round(tookMs)} ms`);
}

describe('two idproxies on one Redis', () => {
  let redis: RedisProcess;
  let a: CountersignProcess;
  let b: CountersignProcess;
  let app: SdkApp;

  before(async () => {
    redis = await startRedis();
    const shared = {
      COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN,
      COUNTERSIGN_BOT: 'echo',
      COUNTERSIGN_REDIS_URL: redis.url,
    };
    b = await startCountersign(['idproxy'], shared);
    a = await startCountersign(['idproxy'], { ...shared, COUNTERSIGN_KEYS_DIR: b.keysDir });
    app = await register(a, { allowAnonymous: true });
  });
  after(async () => {
    await a?.stop();
    await b?.stop();
    await redis?.stop();
  });

  it('give one conversation: exchange and start on A, socket on B, and the other way round', async () => {
    const user = await signIn(a, app, { sub: 'both@example.com' });
    const onB = await openClient(await start(a, b, user));
    await say(onB, 'from A to B');
    const onA = await openClient(await start(b, a, user));
    await say(onA, 'from B to A');
    for (const at of [a, b]) {
      const texts = await readTexts(at, user);
      for (const text of ['You said: from A to B', 'You said: from B to A']) assert.ok(texts.includes(text), text);
    }
    for (const { ws } of [onA, onB]) ws.close();
  });

  it('take the URL of a socket once between them', async () => {
    const user = await signIn(a, app, { sub: 'once@example.com' });
    const onA = await start(a, a, user);
    const onB = onA.replace(`:${a.idproxyPort}/`, `:${b.idproxyPort}/`);
    const client = await openClient(onA);
    assert.equal((await openRefused(onB)).status, 401);
    assert.equal((await openRefused(onA)).status, 401);
    await say(client, 'still here');
    client.ws.close();
  });

  it('merge together: a merge on A ends the visitor on B and gives their conversation on B', async () => {
    const visitor = await signIn(b, app, { sub: 'visitor-1', isAnonymous: true });
    const visitorOnB = await openClient(await start(b, b, visitor));
    await say(visitorOnB, 'asked as a visitor');
    const since = performance.now();
    const known = await signIn(a, app, { sub: 'known@example.com', identityToMerge: 'visitor-1' });
    await assertClosed(visitorOnB, [4001], since);
    assert.equal(await askUserInfo(b, visitor), 401);
    assert.ok((await readTexts(b, known)).includes('You said: asked as a visitor'));
    const client = await openClient(await start(a, b, known));
    await say(client, 'asked as a user');
    // It is kept after it was said.
    while (!(await readTexts(a, known)).includes('You said: asked as a user')) await wait(20);
    client.ws.close();
  });

  /** What is done on A, and how it closes a socket on B: by whichever of its reasons is heard of first. */
  const ENDS: Readonly<
    Record<
      string,
      {
        readonly act: (own: SdkApp, user: User) => Promise<Response>;
        readonly codes: readonly number[];
        readonly userinfo: number;
      }
    >
  > = {
    'a revocation': {
      act: (_own, { bearer }) =>
        fetch(`${a.idproxyUrl}/oauth/revoke`, {
          method: 'POST',
          headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
          body: new URLSearchParams({ token: bearer }),
        }),
      codes: [4001],
      userinfo: 401,
    },
    'the erasure of the user': {
      act: (_own, { userId }) => admin(a, 'DELETE', `/admin/identities/${userId}`),
      codes: [4001],
      userinfo: 401,
    },
    'a disabled app': {
      act: ({ clientId }) => admin(a, 'PATCH', `/admin/apps/${clientId}`, { enabled: false }),
      codes: [4003],
      userinfo: 403,
    },
    'a bot that is not allowed any more': {
      act: ({ clientId }) => admin(a, 'PATCH', `/admin/apps/${clientId}`, { bots: ['st-2'] }),
      codes: [4003],
      userinfo: 200,
    },
    'a deleted app': {
      act: ({ clientId }) => admin(a, 'DELETE', `/admin/apps/${clientId}`),
      codes: [4001, 4003],
      userinfo: 401,
    },
  };
  for (const [name, { act, codes, userinfo }] of Object.entries(ENDS)) {
    it(`end together: ${name} on A closes a socket on B`, async () => {
      const [own, other] = [await register(a), await signIn(a, app, { sub: 'bystander@example.com' })];
      const user = await signIn(b, own);
      const [client, bystander] = [
        await openClient(await start(b, b, user)),
        await openClient(await start(b, b, other)),
      ];
      await say(client, 'hello');
      const since = performance.now();
      const response = await act(own, user);
      assert.ok(response.ok, `${response.status}`);
      await assertClosed(client, codes, since);
      assert.equal(await askUserInfo(b, user), userinfo);
      await say(bystander, 'hello');
      bystander.ws.close();
    });
  }

  it('go on without each other: A is killed, its users come back on B', async () => {
    const user = await signIn(a, app, { sub: 'last@example.com' });
    const [onA, onB] = [await openClient(await start(a, a, user)), await openClient(await start(a, b, user))];
    await say(onA, 'before the end of A');
    const unused = await start(a, b, user);
    await a.kill();
    assert.equal((await onA.closed).code, 1006);
    await say(onB, 'after the end of A');
    const again = await openClient(unused);
    await say(again, 'with a URL of A');
    const texts = await readTexts(b, user);
    for (const text of ['before the end of A', 'after the end of A', 'with a URL of A'])
      assert.ok(texts.includes(`You said: ${text}`), text);
    for (const { ws } of [onB, again]) ws.close();
  });
});
