import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { limitRate, type RateLimitOptions } from '../../../src/http/rate-limit.ts';
import { sendJson } from '../../../src/http/respond.ts';
import { type AppUnderTest, startApp } from './app-under-test.ts';
import { parseAnswer, sendRaw, toRequest } from './raw-http.ts';

const start = (
  t: Parameters<typeof startApp>[0],
  refusal: RateLimitOptions['refusal'],
  perMinute = 2,
): Promise<AppUnderTest> =>
  startApp(
    t,
    (server) => {
      for (const path of ['/a', '/b'])
        server.get(path, limitRate({ perMinute, refusal }), (_req, res) => sendJson(res, 200, {}));
    },
    { trustProxy: 1 },
  );

const ask = async (app: AppUnderTest, path: string, from = '192.0.2.1') =>
  parseAnswer(await sendRaw(app.port, toRequest('GET', path, [`X-Forwarded-For: ${from}`])));

describe('the rate limit', () => {
  for (const [refusal, status] of [
    ['busy', 503],
    ['rate_limited', 429],
  ] as const) {
    it(`answers ${status} as JSON with Retry-After: ${refusal}`, async (t) => {
      const app = await start(t, refusal);
      assert.deepEqual([(await ask(app, '/a')).status, (await ask(app, '/a')).status], [200, 200]);
      const { headers, body, status: third } = await ask(app, '/a');
      assert.equal(third, status);
      const seconds = Number(headers['retry-after']);
      assert.ok(seconds >= 1 && seconds <= 60, headers['retry-after']);
      assert.deepEqual(JSON.parse(body), {
        errors: [{ msg: `too many requests; try again in ${seconds} s`, code: status }],
      });
      assert.equal(headers['x-content-type-options'], 'nosniff');
    });
  }

  it('counts each route for itself', async (t) => {
    const app = await start(t, 'busy', 1);
    assert.deepEqual(
      [(await ask(app, '/a')).status, (await ask(app, '/b')).status, (await ask(app, '/a')).status],
      [200, 200, 503],
    );
  });

  /** Two callers, and whether they share one allowance. */
  const PAIRS: Readonly<Record<string, readonly [string, string, boolean]>> = {
    'the same address': ['192.0.2.1', '192.0.2.1', true],
    'two IPv4 addresses': ['192.0.2.1', '192.0.2.2', false],
    'two IPv6 addresses of one /56': ['2001:db8:0:1200::1', '2001:db8:0:12ff:9::9', true],
    'two IPv6 addresses of neighbouring /56': ['2001:db8:0:1200::1', '2001:db8:0:1300::1', false],
    'an IPv4 address, plain and mapped': ['192.0.2.1', '::ffff:192.0.2.1', true],
    'two mapped IPv4 addresses': ['::ffff:192.0.2.1', '::ffff:192.0.2.2', false],
    'two things that are no addresses': ['unknown', 'hidden', false],
  };
  for (const [name, [first, second, isShared]] of Object.entries(PAIRS)) {
    it(`${isShared ? 'is shared by' : 'is apart for'} ${name}`, async (t) => {
      const app = await start(t, 'busy', 1);
      assert.equal((await ask(app, '/a', first)).status, 200);
      assert.equal((await ask(app, '/a', second)).status, isShared ? 503 : 200);
    });
  }

  it('does not believe X-Forwarded-For where no proxy is trusted', async (t) => {
    const app = await startApp(
      t,
      (server) =>
        void server.get('/a', limitRate({ perMinute: 1, refusal: 'busy' }), (_req, res) => sendJson(res, 200, {})),
    );
    assert.equal((await ask(app, '/a', '192.0.2.1')).status, 200);
    assert.equal((await ask(app, '/a', '192.0.2.2')).status, 503);
  });

  it('does not believe what the caller wrote in front of the trusted proxy', async (t) => {
    const app = await start(t, 'busy', 1);
    assert.equal((await ask(app, '/a', '198.51.100.1, 192.0.2.1')).status, 200);
    assert.equal((await ask(app, '/a', '198.51.100.2, 192.0.2.1')).status, 503);
  });
});
