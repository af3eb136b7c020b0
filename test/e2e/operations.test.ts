import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import jsonwebtoken from 'jsonwebtoken';

import { createToken } from '../../src/core/ids.ts';
import {
  type CountersignProcess,
  createTempFolder,
  type RedisProcess,
  startCountersign,
  startRedis,
} from '../support/processes.ts';

const AUDIENCE = 'https://idproxy.kore.com/authorize';
const ADMIN_TOKEN = createToken(32);
const ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` };

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
  /** Until the answer was there, in milliseconds. */
  readonly tookMs: number;
}

async function send(url: string, method: string, body?: object, headers: Record<string, string> = {}): Promise<Answer> {
  const startedAt = performance.now();
  const response = await fetch(url, {
    method,
    headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const tookMs = performance.now() - startedAt;
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? {} : (JSON.parse(text) as Answer['body']),
    tookMs,
  };
}

/** Asks again and again until an answer has the status. @returns how long that took, in milliseconds */
async function until(status: number, ask: () => Promise<Answer>, timeoutMs: number): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await ask();
    const tookMs = performance.now() - startedAt;
    if (answer.status === status) return tookMs;
    assert.ok(tookMs < timeoutMs, `still ${answer.status} after ${timeoutMs} ms: ${JSON.stringify(answer.body)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function startIdproxies(t: TestContext, redisUrl: string, count: number): Promise<CountersignProcess[]> {
  const folder = await createTempFolder();
  const env = {
    COUNTERSIGN_REDIS_URL: redisUrl,
    COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN,
    COUNTERSIGN_KEYS_DIR: join(folder, 'keys'),
    COUNTERSIGN_LOG_LEVEL: 'warn',
  };
  const processes = await Promise.all(Array.from({ length: count }, () => startCountersign(['idproxy'], env)));
  t.after(async () => {
    await Promise.all(processes.map((process) => process.stop()));
    await rm(folder, { recursive: true, force: true });
  });
  await Promise.all(processes.map(({ idproxyUrl }) => until(200, () => send(`${idproxyUrl}/readyz`, 'GET'), 5_000)));
  return processes;
}

interface Client {
  readonly clientId: string;
  /** A fresh assertion. */
  readonly sign: () => string;
}

async function register({ idproxyUrl }: CountersignProcess): Promise<Client> {
  const { status, body } = await send(`${idproxyUrl}/admin/apps`, 'POST', { name: 'a', algorithm: 'HS256' }, ADMIN);
  assert.equal(status, 201, JSON.stringify(body));
  const clientId = String(body['clientId']);
  const sign = (): string =>
    jsonwebtoken.sign(
      { aud: AUDIENCE, iss: clientId, sub: 'alice', jti: createToken(16) },
      String(body['clientSecret']),
      { expiresIn: 300 },
    );
  return { clientId, sign };
}

const exchange = ({ idproxyUrl }: CountersignProcess, assertion: string): Promise<Answer> =>
  send(`${idproxyUrl}/authorize`, 'POST', { assertion });
const askUserInfo = ({ idproxyUrl }: CountersignProcess, bearer: string): Promise<Answer> =>
  send(`${idproxyUrl}/api/1.1/userinfo`, 'GET', undefined, { authorization: `Bearer ${bearer}` });

async function exchangeForBearer(process: CountersignProcess, { sign }: Client): Promise<string> {
  const { status, body } = await exchange(process, sign());
  assert.equal(status, 200, JSON.stringify(body));
  return String(body['access_token']);
}

async function useRedis(t: TestContext): Promise<RedisProcess> {
  const redis = await startRedis();
  t.after(() => redis.stop());
  return redis;
}

async function startPair(
  t: TestContext,
): Promise<{ redis: RedisProcess; a: CountersignProcess; b: CountersignProcess }> {
  const redis = await useRedis(t);
  const [a, b] = await startIdproxies(t, redis.url, 2);
  assert.ok(a && b);
  return { redis, a, b };
}

/** A refusal while the store is away: in time, as JSON, and it says when to come again. */
function assertUnavailable({ status, headers, body, tookMs }: Answer): void {
  assert.equal(status, 503);
  assert.ok(tookMs < 1_000, `${tookMs} ms`);
  assert.match(headers.get('retry-after') ?? '', /^[1-9]\d*$/);
  assert.deepEqual(body, { errors: [{ msg: 'the session store does not answer; try again', code: 503 }] });
}

describe('two idproxies on one Redis', () => {
  it('share apps, platform keys, replays, sessions and revocations', async (t) => {
    const { a, b } = await startPair(t);
    const client = await register(a);
    const assertion = client.sign();
    const granted = await exchange(b, assertion);
    assert.equal(granted.status, 200);
    for (const process of [a, b]) {
      const replayed = await exchange(process, assertion);
      assert.deepEqual(
        [replayed.status, replayed.body],
        [401, { errors: [{ msg: 'error verifying the jwt: possibly a replay', code: 401 }] }],
      );
    }
    const bearer = String(granted.body['access_token']);
    assert.equal((await askUserInfo(a, bearer)).status, 200);
    assert.equal((await send(`${a.idproxyUrl}/oauth/revoke`, 'POST', { token: bearer }, ADMIN)).status, 200);
    for (const process of [b, a]) assert.equal((await askUserInfo(process, bearer)).status, 401);
    const introspected = await send(`${b.idproxyUrl}/oauth/introspect`, 'POST', { token: bearer }, ADMIN);
    assert.deepEqual(introspected.body, { active: false });
    const [one, other] = await Promise.all(
      [a, b].map(({ idproxyUrl }) => send(`${idproxyUrl}/.well-known/jwks.json`, 'GET')),
    );
    assert.deepEqual(one?.body, other?.body);
  });

  it('obey a change that the other one took: at once where it was taken, within a second beside it', async (t) => {
    const { a, b } = await startPair(t);
    const client = await register(a);
    const bearer = await exchangeForBearer(b, client);
    const patch = (enabled: boolean): Promise<Answer> =>
      send(`${a.idproxyUrl}/admin/apps/${client.clientId}`, 'PATCH', { enabled }, ADMIN);
    assert.equal((await patch(false)).status, 200);
    assert.equal((await exchange(a, client.sign())).status, 401);
    const tookMs = await until(401, () => exchange(b, client.sign()), 1_000);
    t.diagnostic(`seen by the other one after ${Math.round(tookMs)} ms`);
    assert.equal((await askUserInfo(b, bearer)).status, 403);
    await patch(true);
    await until(200, () => exchange(b, client.sign()), 1_000);
    await send(`${a.idproxyUrl}/admin/apps/${client.clientId}`, 'DELETE', undefined, ADMIN);
    await until(401, () => exchange(b, client.sign()), 1_000);
    assert.equal((await askUserInfo(b, bearer)).status, 401);
  });
});

describe('an idproxy whose Redis', () => {
  it('is killed answers 503 in time and says what is missing', async (t) => {
    const { redis, a, b } = await startPair(t);
    const client = await register(a);
    const bearer = await exchangeForBearer(a, client);
    const assertion = client.sign();
    await redis.kill();

    for (const process of [a, b]) {
      assertUnavailable(await exchange(process, assertion));
      assertUnavailable(await askUserInfo(process, bearer));
      const ready = await send(`${process.idproxyUrl}/readyz`, 'GET');
      assert.equal(ready.status, 503);
      assert.match(String((ready.body['checks'] as Record<string, string>)['store']), /^redis/);
      assert.ok(ready.tookMs < 1_500, `${ready.tookMs} ms`);
      assert.equal((await send(`${process.idproxyUrl}/healthz`, 'GET')).status, 200);
    }
    const grant = await send(`${a.idproxyUrl}/oauth/token`, 'POST', {
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion,
    });
    assert.deepEqual([grant.status, grant.body['error']], [503, 'temporarily_unavailable']);
    assert.match(grant.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    assertUnavailable(await send(`${a.idproxyUrl}/admin/apps`, 'POST', { name: 'b', algorithm: 'HS256' }, ADMIN));
  });

  it('comes back with its data takes the very same JWT, once', async (t) => {
    const redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    t.after(() => redis.stop());
    const [a, b] = await startIdproxies(t, redis.url, 2);
    assert.ok(a && b);
    const client = await register(a);
    const used = client.sign();
    assert.equal((await exchange(b, used)).status, 200);
    const assertion = client.sign();
    await redis.kill();
    assertUnavailable(await exchange(a, assertion));
    await redis.restart();
    await until(200, () => send(`${b.idproxyUrl}/readyz`, 'GET'), 5_000);
    const tookMs = await until(200, () => exchange(b, assertion), 5_000);
    t.diagnostic(`exchanged ${Math.round(tookMs)} ms after readiness`);
    await until(200, () => send(`${a.idproxyUrl}/readyz`, 'GET'), 5_000);
    for (const process of [a, b])
      for (const one of [assertion, used]) assert.equal((await exchange(process, one)).status, 401);
  });

  it('stops answering refuses in time, and takes the very same JWT afterwards', async (t) => {
    const { redis, a } = await startPair(t);
    const client = await register(a);
    const assertion = client.sign();
    redis.pause();
    t.after(() => redis.resume());
    assertUnavailable(await exchange(a, assertion));
    assertUnavailable(await exchange(a, assertion));
    redis.resume();
    await until(200, () => send(`${a.idproxyUrl}/readyz`, 'GET'), 8_000);
    await until(200, () => exchange(a, assertion), 8_000);
    assert.equal((await exchange(a, assertion)).status, 401);
  });

  it('is absent at the start starts all the same, and recovers', async (t) => {
    const redis = await useRedis(t);
    await redis.kill();
    const env = { COUNTERSIGN_REDIS_URL: redis.url.replace('//', '//:S3CR3T@'), COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN };
    const process = await startCountersign(['idproxy'], env);
    t.after(() => process.stop());
    const ready = await send(`${process.idproxyUrl}/readyz`, 'GET');
    assert.equal(ready.status, 503);
    assert.match(String((ready.body['checks'] as Record<string, string>)['store']), /^redis/);
    const assertion = jsonwebtoken.sign({ aud: AUDIENCE, iss: 'cs-1', sub: 'alice' }, ADMIN_TOKEN, { expiresIn: 60 });
    assertUnavailable(await exchange(process, assertion));

    await redis.restart();
    await until(200, () => send(`${process.idproxyUrl}/readyz`, 'GET'), 5_000);
    await exchangeForBearer(process, await register(process));
    assert.ok(!(process.stdout() + process.stderr()).includes('S3CR3T'));
  });
});
