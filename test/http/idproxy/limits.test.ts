import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { CounterStore } from '../../../src/stores/ports.ts';
import { createRedisStore } from '../../../src/stores/redis.ts';
import { waitUntilReady } from '../../../src/stores/wait-until-ready.ts';
import { Secret } from '../../../src/core/secret.ts';
import { type AppUnderTest, type IdproxyUnderTest, startIdproxyUnderTest } from '../../support/idproxy-under-test.ts';
import { type RedisProcess, startRedis } from '../../support/processes.ts';

const LIMIT = 3;
const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

describe('the limit of an app', () => {
  let idproxy: IdproxyUnderTest;
  before(async () => {
    idproxy = await startIdproxyUnderTest();
  });
  after(() => idproxy?.close());
  const authorize = async (app: AppUnderTest, changes: object = {}): Promise<number> =>
    (await idproxy.authorize(app.sign({ ...changes }))).status;

  it('refuses with 503 what is beyond it, with 429 on /oauth; another app is not touched', async () => {
    const app = await idproxy.register({ exchangesPerMinute: LIMIT });
    const other = await idproxy.register({});
    for (let index = 0; index < LIMIT; index++) assert.equal(await authorize(app), 200);
    const refused = await idproxy.authorize(app.sign());
    assert.equal(refused.status, 503);
    assert.match(JSON.stringify(refused.body), /too many exchanges for this client; try again in \d+ s/);
    assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d?$/);
    const grant = await idproxy.post('/api/1.1/oAuth/token/jwtgrant', { assertion: app.sign() });
    assert.equal(grant.status, 503);
    const oauth = await idproxy.post('/oauth/token', { grant_type: GRANT, assertion: app.sign() });
    assert.deepEqual([oauth.status, (oauth.body as { error: string }).error], [429, 'slow_down']);
    for (let index = 0; index < LIMIT * 3; index++) assert.equal(await authorize(other), 200);
  });

  it('is not used up by what the app did not sign, nor by what it signed and what does not hold', async () => {
    const app = await idproxy.register({ exchangesPerMinute: LIMIT });
    const stranger = { ...app, sign: () => `${app.sign().slice(0, -8)}AAAAAAAA` };
    for (let index = 0; index < LIMIT * 2; index++) assert.equal(await authorize(stranger), 401);
    const expired = { exp: Math.floor(idproxy.clock.nowSeconds()) - 600 };
    for (const changes of [expired, { aud: 'https://elsewhere.example' }])
      for (let index = 0; index < LIMIT * 2; index++) assert.equal(await authorize(app, changes), 401);
    for (let index = 0; index < LIMIT; index++) assert.equal(await authorize(app), 200);
    assert.equal(await authorize(app), 503);
  });

  it('is not used up by one assertion that is presented over and over', async () => {
    const app = await idproxy.register({ exchangesPerMinute: LIMIT });
    const live = app.sign();
    assert.equal((await idproxy.authorize(live)).status, 200);
    const statuses = await Promise.all(Array.from({ length: LIMIT - 1 }, () => idproxy.authorize(live)));
    assert.deepEqual(new Set(statuses.map(({ status }) => status)), new Set([401]));
    for (let index = 0; index < LIMIT * 3; index++) assert.equal((await idproxy.authorize(live)).status, 401);
    for (let index = 1; index < LIMIT; index++) assert.equal(await authorize(app), 200);
    assert.equal(await authorize(app), 503);
  });

  it('is not used up within a reuse window, nor by what is refused for other reasons after its claims held', async () => {
    const app = await idproxy.register({ exchangesPerMinute: LIMIT, reuseWindowSeconds: 60, bots: ['st-1'] });
    const live = app.sign();
    for (let index = 0; index < LIMIT * 3; index++) assert.equal((await idproxy.authorize(live)).status, 200);
    const botInfo = { taskBotId: 'st-2' };
    for (let index = 0; index < LIMIT * 3; index++) {
      const { status } = await idproxy.post('/api/1.1/oAuth/token/jwtgrant', { assertion: app.sign(), botInfo });
      assert.equal(status, 401);
    }
    for (let index = 1; index < LIMIT; index++) assert.equal(await authorize(app), 200);
    assert.equal(await authorize(app), 503);
  });

  it('lets no more through than it says, however many come at once', async () => {
    const app = await idproxy.register({ exchangesPerMinute: LIMIT });
    const statuses = await Promise.all(Array.from({ length: LIMIT * 8 }, () => authorize(app)));
    assert.equal(statuses.filter((status) => status === 200).length, LIMIT);
    assert.equal(statuses.filter((status) => status === 503).length, LIMIT * 7);
  });

  it('does not use up an assertion that it refuses', async () => {
    const app = await idproxy.register({ exchangesPerMinute: 1 });
    assert.equal(await authorize(app), 200);
    const assertion = app.sign();
    assert.equal((await idproxy.authorize(assertion)).status, 503);
    const { status } = await idproxy.admin('PATCH', `/admin/apps/${app.clientId}`, { exchangesPerMinute: 0 });
    assert.equal(status, 200);
    assert.equal((await idproxy.authorize(assertion)).status, 200);
  });

  for (const exchangesPerMinute of [-1, 1.5, 10_000_001, '3']) {
    it(`is not ${JSON.stringify(exchangesPerMinute)}`, async () => {
      const { status } = await idproxy.admin('POST', '/admin/apps', {
        name: 'a',
        algorithm: 'HS256',
        exchangesPerMinute,
      });
      assert.equal(status, 400);
    });
  }
});

describe('limits that instances on one Redis share', () => {
  let redis: RedisProcess;
  const instances: IdproxyUnderTest[] = [];
  const start = async (traits: object): Promise<IdproxyUnderTest> => {
    const store = createRedisStore({ url: new Secret(redis.url), waitReplicas: 0, onProblem: () => undefined });
    const instance = await startIdproxyUnderTest(async () => ({ store, end: async () => undefined }), {
      sharedCounters: store.counters,
      ...traits,
    });
    instances.push(instance);
    return instance;
  };
  before(async () => {
    redis = await startRedis();
  });
  after(async () => {
    await Promise.all(instances.map((instance) => instance.close()));
    await redis?.stop();
  });

  it('hold for all instances together: of an app', async () => {
    const [first, second] = [await start({}), await start({})];
    const app = await first.register({ exchangesPerMinute: LIMIT });
    const statuses = [];
    for (let index = 0; index < LIMIT * 2; index++) {
      const assertion = app.sign({ exp: first.clock.nowSeconds() + 60 });
      statuses.push((await (index % 2 === 0 ? first : second).authorize(assertion)).status);
    }
    assert.deepEqual(statuses, [200, 200, 200, 503, 503, 503]);
  });

  it('are not used up by one assertion that is presented over and over, here and there', async () => {
    const [first, second] = [await start({}), await start({})];
    const app = await first.register({ exchangesPerMinute: LIMIT });
    const sign = (): string => app.sign({ exp: first.clock.nowSeconds() + 60 });
    const live = sign();
    assert.equal((await first.authorize(live)).status, 200);
    for (let index = 0; index < LIMIT * 2; index++)
      assert.equal((await (index % 2 === 0 ? first : second).authorize(live)).status, 401);
    const statuses = [];
    for (const instance of [first, second, first]) statuses.push((await instance.authorize(sign())).status);
    assert.deepEqual(statuses, [200, 200, 503]);
  });

  it('are given back where there is something, and never without an end', async () => {
    const store = createRedisStore({ url: new Secret(redis.url), waitReplicas: 0, onProblem: () => undefined });
    const counters = store.counters as CounterStore;
    await waitUntilReady(store, 5_000);
    await counters.giveBack('app nobody');
    for (const count of [1, 2]) assert.equal((await counters.add('app nobody', 60_000)).count, count);
    for (let times = 0; times < 5; times++) await counters.giveBack('app nobody');
    const { count, leftMs } = await counters.add('app nobody', 60_000);
    assert.equal(count, 1);
    assert.ok(leftMs > 0 && leftMs <= 60_000, `a window without an end would be -1: ${leftMs}`);
    await store.close();
  });

  it('cost an app without a limit no question to Redis', async () => {
    const asked: string[] = [];
    const store = createRedisStore({ url: new Secret(redis.url), waitReplicas: 0, onProblem: () => undefined });
    const counters = store.counters as CounterStore;
    const sharedCounters: CounterStore = {
      add: (key, windowMs) => {
        asked.push(key);
        return counters.add(key, windowMs);
      },
      giveBack: (key: string) => {
        asked.push(key);
        return counters.giveBack(key);
      },
    };
    const instance = await start({ sharedCounters });
    const [free, limited] = [await instance.register({}), await instance.register({ exchangesPerMinute: LIMIT })];
    const ofApps = (): string[] => asked.filter((key) => key.startsWith('app '));
    const sign = (app: AppUnderTest): string => app.sign({ exp: instance.clock.nowSeconds() + 60 });
    const live = sign(free);
    assert.deepEqual([(await instance.authorize(live)).status, (await instance.authorize(live)).status], [200, 401]);
    assert.deepEqual(ofApps(), []);
    assert.equal((await instance.authorize(sign(limited))).status, 200);
    assert.equal(ofApps().length, 1, 'what is granted takes one question');
    await store.close();
  });

  it('hold for all instances together: of an address, a route each', async () => {
    const [first, second] = [await start({ rateLimitPerMinute: LIMIT }), await start({ rateLimitPerMinute: LIMIT })];
    const statuses = [];
    for (let index = 0; index < LIMIT * 2; index++) {
      statuses.push((await (index % 2 === 0 ? first : second).request('/api/1.1/userinfo')).status);
    }
    assert.deepEqual(statuses, [401, 401, 401, 503, 503, 503]);
    assert.equal((await second.request('/api/1.1/session/context?sessionId=x')).status, 401);
    const refused = await first.request('/api/1.1/userinfo');
    assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d?$/);
  });

  it('fall back to what each instance counts where Redis is away', async () => {
    const instance = await start({ rateLimitPerMinute: LIMIT });
    await redis.stop();
    const statuses = [];
    for (let index = 0; index < LIMIT + 1; index++) {
      statuses.push((await instance.request('/api/1.1/userinfo')).status);
    }
    assert.deepEqual(statuses, [401, 401, 401, 503]);
  });
});
