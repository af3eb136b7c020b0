import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';

import type { Response } from 'express';

import { AppError, type ErrorCode } from '../../../src/core/errors.ts';
import { createRefusedAssertions, SUSPECTED_AFTER } from '../../../src/http/refused-assertions.ts';
import type { SharedCounters } from '../../../src/http/shared-counters.ts';
import { until } from '../../contract/attempts.ts';
import { startApp } from './app-under-test.ts';

const LIMIT = 3;

/** An app behind a proxy that it trusts, which fails as the path says, and counts what it looked at. */
async function startRoutes(t: TestContext, perMinute = LIMIT, counters?: SharedCounters) {
  let nowMs = 0;
  let looked = 0;
  const refused = createRefusedAssertions({ perMinute, counters, monotonicMs: () => nowMs });
  const { url } = await startApp(
    t,
    (app) => {
      const answer = (code: string): void => {
        looked += 1;
        if (code !== 'good') throw new AppError(code as ErrorCode);
      };
      app.post('/a/*code', refused.limit('busy'), (req, res) => {
        answer(req.path.slice(3));
        res.end();
      });
      app.post('/b/*code', refused.limit('rate_limited'), (req, res) => {
        answer(req.path.slice(3));
        res.end();
      });
    },
    { trustProxy: ['loopback'] },
  );
  const post = async (path: string, from?: string): Promise<number> => {
    const headers = from === undefined ? {} : { 'x-forwarded-for': from };
    const response = await fetch(url + path, { method: 'POST', headers });
    await response.text();
    return response.status;
  };
  return { post, url, looked: () => looked, passMs: (ms: number) => void (nowMs += ms) };
}

describe('refused assertions of one address', () => {
  it('beyond the limit are refused unread, on every route, until the minute is over; other addresses are not', async (t) => {
    const { post, url, looked, passMs } = await startRoutes(t);
    const codes = ['assertion_untrusted', 'expired', 'replayed'];
    for (const code of codes) assert.equal(await post(`/a/${code}`, '192.0.2.7'), 401);
    assert.equal(await post('/a/good', '192.0.2.7'), 503);
    assert.equal(await post('/b/good', '192.0.2.7'), 429);
    assert.equal(looked(), LIMIT);
    assert.equal(await post('/a/good', '192.0.2.8'), 200);
    const answer = await fetch(`${url}/a/good`, { method: 'POST', headers: { 'x-forwarded-for': '192.0.2.7' } });
    assert.equal(answer.headers.get('retry-after'), '60');
    assert.match(await answer.text(), /too many requests; try again in 60 s/);
    passMs(60_000);
    assert.equal(await post('/a/good', '192.0.2.7'), 200);
  });

  it('count where nobody waits for the answer', async (t) => {
    const refused = createRefusedAssertions({ perMinute: 1 });
    const begun = new EventEmitter();
    const { url } = await startApp(
      t,
      (app) =>
        app.post('/', refused.limit('busy'), async (_req, res) => {
          if (!begun.emit('begun', res)) return void res.end();
          await once(res, 'close');
          throw new AppError('expired');
        }),
      { trustProxy: ['loopback'] },
    );
    const headers = { 'x-forwarded-for': '192.0.2.7' };
    const leave = new AbortController();
    const left = fetch(url, { method: 'POST', headers, signal: leave.signal }).catch(() => 'left');
    const [res] = (await once(begun, 'begun')) as [Response];
    const closed = once(res, 'close');
    leave.abort();
    assert.equal(await left, 'left');
    await closed;
    assert.equal((await fetch(url, { method: 'POST', headers })).status, 503);
  });

  it('of an IPv6 network count together', async (t) => {
    const { post } = await startRoutes(t);
    for (const host of ['1', '2', '3']) assert.equal(await post('/a/expired', `2001:db8::${host}`), 401);
    assert.equal(await post('/a/good', '2001:db8::4'), 503);
    assert.equal(await post('/a/good', '2001:db9::4'), 200);
  });

  /** What is no refused assertion, or nobody's. */
  const UNCOUNTED: Readonly<Record<string, readonly [path: string, from?: string]>> = {
    'what was granted': ['/a/good', '192.0.2.7'],
    'a store that is away': ['/a/store_unavailable', '192.0.2.7'],
    'a client beyond its limit': ['/a/client_busy', '192.0.2.7'],
    'a body that cannot be read': ['/a/malformed_body', '192.0.2.7'],
    'a bearer that is over': ['/a/bearer_invalid', '192.0.2.7'],
    'this machine': ['/a/expired'],
    'this machine by IPv6': ['/a/expired', '::1'],
  };
  for (const [name, [path, from]] of Object.entries(UNCOUNTED)) {
    it(`do not include ${name}`, async (t) => {
      const { post, looked } = await startRoutes(t);
      for (let index = 0; index < LIMIT * 2; index++) await post(path, from);
      assert.equal(looked(), LIMIT * 2);
      assert.equal(await post('/a/good', from), 200);
    });
  }

  describe('that several processes count together', () => {
    const MANY = 40;
    const FIRST = Math.ceil(MANY * SUSPECTED_AFTER);
    const createCounters = () => {
      const counts = new Map<string, number>();
      let isAway = false;
      return {
        asked: () => [...counts.values()].reduce((sum, count) => sum + count, 0),
        setAway: () => (isAway = true),
        counters: {
          add: async (key) => {
            if (isAway) throw new AppError('store_unavailable');
            counts.set(key, (counts.get(key) ?? 0) + 1);
            return { count: counts.get(key) ?? 0, leftMs: 7_000 };
          },
          giveBack: () => Promise.resolve(),
        } satisfies SharedCounters,
      };
    };

    it('ask nothing for what is good, nor for the first of them', async (t) => {
      const shared = createCounters();
      const { post } = await startRoutes(t, MANY, shared.counters);
      for (let index = 0; index < MANY; index++) assert.equal(await post('/a/good', '192.0.2.7'), 200);
      for (let index = 0; index < FIRST; index++) assert.equal(await post('/a/expired', '192.0.2.7'), 401);
      assert.equal(shared.asked(), 0);
      assert.equal(await post('/a/expired', '192.0.2.7'), 401);
      assert.equal(shared.asked(), 1);
    });

    it('are refused unread everywhere beyond the limit of all, until that minute is over', async (t) => {
      const shared = createCounters();
      const first = await startRoutes(t, MANY, shared.counters);
      const second = await startRoutes(t, MANY, shared.counters);
      let refused = 0;
      for (let index = 0; index < MANY * 3; index++) {
        const status = await (index % 2 === 0 ? first : second).post('/a/expired', '192.0.2.7');
        if (status === 401) refused += 1;
      }
      // Each process has its first ones for itself, and learns by one of its own that there are too many.
      assert.ok(refused >= MANY && refused <= MANY + 2 * FIRST + 2, String(refused));
      const { url } = first;
      const answer = await fetch(`${url}/a/good`, { method: 'POST', headers: { 'x-forwarded-for': '192.0.2.7' } });
      assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '7']);
      assert.equal(await first.post('/a/good', '192.0.2.8'), 200);
      first.passMs(7_000);
      assert.equal(await first.post('/a/good', '192.0.2.7'), 200);
    });

    it('are counted here alone where nobody can be asked', async (t) => {
      const shared = createCounters();
      shared.setAway();
      const { post, looked } = await startRoutes(t, MANY, shared.counters);
      for (let index = 0; index < MANY * 2; index++) await post('/a/expired', '192.0.2.7');
      await until(async () => looked() === MANY, 'the limit of this process holds');
    });
  });

  it('have no limit where it is 0', async (t) => {
    const { post, looked } = await startRoutes(t, 0);
    for (let index = 0; index < 10; index++) assert.equal(await post('/a/expired', '192.0.2.7'), 401);
    assert.equal(looked(), 10);
  });
});
