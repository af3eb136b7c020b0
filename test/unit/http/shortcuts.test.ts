import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { Router } from 'express';

import { AppError } from '../../../src/core/errors.ts';
import { noteCaller } from '../../../src/http/access-log.ts';
import { readBody } from '../../../src/http/body.ts';
import { allowOrigins } from '../../../src/http/cors.ts';
import { createRateLimit } from '../../../src/http/rate-limit.ts';
import { createRefusedAssertions } from '../../../src/http/refused-assertions.ts';
import type { SharedCounters } from '../../../src/http/shared-counters.ts';
import { type Answer, answerJson, type Shortcut } from '../../../src/http/shortcuts.ts';
import { type AppUnderTest, type LogLine, startApp } from './app-under-test.ts';
import { openRaw, sendRaw, toRequest } from './raw-http.ts';

const MAX_BODY_BYTES = 1_000;
const PER_MINUTE = 5;

const answer: Answer = async (req, res) => {
  const { fail, ...rest } = req.body as Record<string, unknown>;
  if (fail === 'bug') throw new TypeError('a mistake');
  if (fail === 'json') return { toJSON: () => assert.fail('no JSON') };
  if (typeof fail === 'string') throw new AppError(fail as 'replayed');
  if (rest['caller'] !== undefined) noteCaller(res, 'a-label');
  if (rest['slow'] !== undefined) await new Promise((done) => setTimeout(done, 200));
  return { got: rest };
};

interface Subject extends AppUnderTest {
  readonly answered: () => number;
}

/** The same route, with its shortcut or without. */
async function start(t: TestContext, hasShortcut: boolean, sharedCounters?: SharedCounters): Promise<Subject> {
  const cors = allowOrigins({ origins: ['https://page.example'], allowLoopback: false, allowCredentials: false });
  const limit = createRateLimit({ perMinute: PER_MINUTE, refusal: 'busy' });
  const refused = createRefusedAssertions({ perMinute: 1_000 });
  let answered = 0;
  const counted: Answer = (req, res) => ((answered += 1), answer(req, res));
  const router = Router({ caseSensitive: true });
  router.use(cors);
  router
    .route('/hot')
    .post(refused.limit('busy'), limit.handler, readBody(MAX_BODY_BYTES), answerJson(counted))
    .all(() => {
      throw new AppError('method_not_allowed', { values: { allow: 'POST' } });
    });
  const { isBarred } = refused;
  const shortcut = { targets: ['/hot', '/hot/'], route: '/hot', cors, limit, isBarred, answer: counted };
  const shortcuts: Shortcut[] = hasShortcut ? [{ ...shortcut, maxBodyBytes: MAX_BODY_BYTES }] : [];
  const deps = sharedCounters === undefined ? {} : { sharedCounters };
  const app = await startApp(t, (server) => void server.use(router), deps, {}, shortcuts);
  return { ...app, answered: () => answered };
}

const post = (body: string, headers: readonly string[] = [], path = '/hot'): string =>
  toRequest('POST', path, [...headers, `Content-Length: ${Buffer.byteLength(body)}`], body);
const json = (value: unknown, headers: readonly string[] = [], path = '/hot'): string =>
  post(JSON.stringify(value), ['Content-Type: application/json', ...headers], path);

/** What somebody may send, and the status of the answer. */
const REQUESTS: Readonly<Record<string, readonly [request: string, status: number]>> = {
  'a plain request': [json({ a: 1 }), 200],
  'a form': [post('a=1&b[c]=2', ['Content-Type: application/x-www-form-urlencoded']), 200],
  'a charset': [post('{}', ['Content-Type: application/json; charset=utf-8']), 200],
  'no body': [toRequest('POST', '/hot'), 200],
  'a slash at the end': [json({}, [], '/hot/'), 200],
  'a query': [json({}, [], '/hot?a=1'), 200],
  'an absolute target': [json({}, [], 'http://test/hot'), 200],
  'an origin that is allowed': [json({}, ['Origin: https://page.example']), 200],
  'an origin that is not': [json({}, ['Origin: https://other.example']), 200],
  'a request id of its own': [json({}, ['X-Request-Id: given-1']), 200],
  'a request id that is none': [json({}, ['X-Request-Id: <script>']), 200],
  'a caller with a label': [json({ caller: 1 }), 200],
  'pieces without a length': [
    toRequest('POST', '/hot', ['Content-Type: application/json', 'Transfer-Encoding: chunked'], '2\r\n{}\r\n0\r\n\r\n'),
    200,
  ],
  'a body that is too long': [json({ a: 'x'.repeat(MAX_BODY_BYTES) }), 413],
  'a length that is too long': [
    toRequest('POST', '/hot', ['Content-Type: application/json', 'Content-Length: 99999']),
    413,
  ],
  'no JSON': [post('{', ['Content-Type: application/json']), 400],
  'a member twice': [post('{"a":1,"a":2}', ['Content-Type: application/json']), 400],
  'another media type': [post('a', ['Content-Type: text/plain']), 415],
  'a compressed body': [post('a', ['Content-Type: application/json', 'Content-Encoding: gzip']), 415],
  'a refusal': [json({ fail: 'replayed' }), 401],
  'the store away': [json({ fail: 'store_unavailable' }), 503],
  'a mistake of ours': [json({ fail: 'bug' }), 500],
  'an answer that is no JSON': [json({ fail: 'json' }), 500],
  'another method': [toRequest('GET', '/hot'), 405],
  'another case': [json({}, [], '/HOT'), 404],
  'no host': ['POST /hot HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', 400],
  'HTTP/1.0': ['POST /hot HTTP/1.0\r\nHost: test\r\nContent-Length: 0\r\n\r\n', 200],
  'an expectation': [json({}, ['Expect: 100-continue']), 200],
};

const withoutChance = (text: string): string =>
  text.replace(/^Date: .*\r\n/m, '').replace(/^(x-request-id: )[0-9a-f-]{36}\r\n/im, '$1…\r\n');
const withoutTimes = ({ time: _, ms, requestId, cause, ...rest }: LogLine): LogLine => ({
  ...rest,
  // Its first line says what it is; the others, by whom it was called.
  cause: String(cause).split('\n')[0],
  isTimed: Number.isInteger(ms),
  requestId: /^[0-9a-f-]{36}$/.test(String(requestId)) ? '…' : requestId,
});

/** Everything that somebody outside or an operator sees of one request. */
async function observe(t: TestContext, request: string, hasShortcut: boolean) {
  const app = await start(t, hasShortcut);
  const answer = withoutChance(await sendRaw(app.port, request));
  const line = withoutTimes(await app.line(({ msg }) => msg === 'request'));
  const metrics = (await app.metrics.registry.metrics())
    .split('\n')
    .filter((text) => /_(total|count)\{.*hot/.test(text));
  return { answer, line, members: Object.keys(app.lines()[0] ?? {}), metrics, answered: app.answered() };
}

describe('a shortcut', () => {
  for (const [name, [request, status]] of Object.entries(REQUESTS)) {
    it(`answers, logs and counts as Express does: ${name}`, async (t) => {
      const taken = await observe(t, request, true);
      const answers = taken.answer.split('\r\n\r\n');
      const last = taken.answer.startsWith('HTTP/1.1 100') ? answers[1] : answers[0];
      assert.match(last ?? '', new RegExp(`^HTTP/1.1 ${status} `));
      assert.deepEqual(taken, await observe(t, request, false));
    });
  }

  it('shares its limit with the route', async (t) => {
    const app = await start(t, true);
    const statuses: (string | undefined)[] = [];
    for (const path of ['/hot', '/hot?a', '/hot', '/hot?a', '/hot', '/hot', '/hot?a'])
      statuses.push((await sendRaw(app.port, json({}, [], path))).split(' ')[1]);
    assert.deepEqual(statuses, ['200', '200', '200', '200', '200', '503', '503']);
    assert.equal(app.answered(), 5);
  });

  it('counts what fails once', async (t) => {
    const app = await start(t, true);
    for (let at = 0; at < PER_MINUTE; at++)
      assert.match(await sendRaw(app.port, json({ fail: 'replayed' })), /^HTTP\/1.1 401/);
    assert.equal(app.answered(), PER_MINUTE);
    assert.match(await sendRaw(app.port, json({})), /^HTTP\/1.1 503/);
  });

  it('is not taken where limits are shared with other processes', async (t) => {
    let asked = 0;
    const counters = { add: async () => ({ count: (asked += 1), leftMs: 1_000 }), giveBack: async () => undefined };
    const app = await start(t, true, counters);
    assert.match(await sendRaw(app.port, json({})), /^HTTP\/1.1 200/);
    assert.equal(asked, 1);
  });

  it('notes who hangs up, once', async (t) => {
    for (const hasShortcut of [true, false]) {
      const app = await start(t, hasShortcut);
      const connection = await openRaw(app.port);
      connection.send(json({ slow: 1 }));
      while (app.answered() === 0) await new Promise(setImmediate);
      connection.socket.destroy();
      const line = await app.line(({ msg }) => msg === 'request');
      assert.deepEqual([line['status'], line['isAborted']], [200, true]);
      await new Promise((done) => setTimeout(done, 300));
      assert.equal(app.lines().length, 1);
      assert.match(await app.metrics.registry.metrics(), /route="\/hot",status="aborted"\} 1/);
    }
  });

  it('keeps a connection open for several requests, and tells it to close once the server stops', async (t) => {
    const app = await start(t, true);
    const connection = await openRaw(app.port);
    const request = json({ a: 1 }).replace('Connection: close\r\n', '');
    connection.send(request + request);
    await connection.until((text) => text.split('HTTP/1.1 200').length === 3);
    const slow = json({ slow: 1 }).replace('Connection: close\r\n', '');
    connection.send(slow);
    while (app.answered() < 3) await new Promise(setImmediate);
    await app.server.close();
    assert.match(await connection.closed(), /HTTP\/1.1 200[^]*HTTP\/1.1 200[^]*HTTP\/1.1 200/);
  });
});
