import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ClientError } from '../../../src/client/client.ts';
import {
  type ClientUnderTest,
  createClientUnderTest,
  IDPROXY,
  type Reply,
  type Script,
  toGrant,
  toJwt,
  toRefusal,
} from './client-under-test.ts';

const API = '/api/1.1/userinfo';
const EXCHANGE = '/authorize';
const UNKNOWN = toRefusal(401, 'the bearer token is expired or unknown');
const OK: Reply = [200, { sub: 'alice@example.com' }];

const toScript = (api: Script[string], more: Script = {}): Script => ({
  '/users/sts': [toJwt('j1')],
  [EXCHANGE]: ['b1', 'b2', 'b3', 'b4', 'b5'].map((token) => toGrant(token)),
  [API]: api,
  ...more,
});

const readAuthorizations = ({ requests }: ClientUnderTest): (string | null)[] =>
  requests.filter(({ path }) => path === API).map(({ init }) => new Headers(init.headers).get('authorization'));

const call = (test: ClientUnderTest, init?: RequestInit): Promise<Response> =>
  test.settle(test.client.fetchWithBearer(`${IDPROXY}${API}`, init));

const hasCode = (code: string) => (error: unknown) => error instanceof ClientError && error.code === code;

describe('a request with the bearer', () => {
  it('keeps what the caller gave it', async () => {
    const test = createClientUnderTest(toScript([OK]));
    const headers = { 'x-rtm-v': '1', Authorization: 'Basic other' };
    const response = await call(test, { method: 'POST', headers, body: '{}', credentials: 'include' });
    assert.deepEqual(await response.json(), { sub: 'alice@example.com' });
    const init = test.requests.at(-1)?.init;
    assert.deepEqual([init?.method, init?.body, init?.credentials], ['POST', '{}', 'include']);
    assert.deepEqual(Object.fromEntries(new Headers(init?.headers)), { authorization: 'Bearer b1', 'x-rtm-v': '1' });
  });

  it('is repeated once, with another bearer, when the first is refused', async () => {
    const test = createClientUnderTest(toScript([UNKNOWN, OK]));
    assert.equal((await call(test)).status, 200);
    assert.deepEqual(readAuthorizations(test), ['Bearer b1', 'Bearer b2']);
  });

  it('shares the renewal with all that were refused at the same time', async () => {
    const test = createClientUnderTest(toScript([...Array.from({ length: 10 }, () => UNKNOWN), OK]));
    await test.settle(test.client.getBearer());
    const url = `${IDPROXY}${API}`;
    const all = Promise.all(Array.from({ length: 10 }, () => test.client.fetchWithBearer(url)));
    assert.deepEqual(new Set((await test.settle(all)).map(({ status }) => status)), new Set([200]));
    assert.equal(test.count(EXCHANGE), 2);
    assert.equal(test.count(API), 20);
  });

  it('that is refused late is repeated with the bearer that came meanwhile', async () => {
    let refuseLate = (_: Reply): void => {};
    const late = new Promise<Reply>((done) => (refuseLate = done));
    const test = createClientUnderTest(toScript([late, UNKNOWN, OK]));
    const url = `${IDPROXY}${API}`;
    const first = test.client.fetchWithBearer(url);
    await test.flush();
    assert.equal((await call(test)).status, 200);
    refuseLate(UNKNOWN);
    assert.equal((await test.settle(first)).status, 200);
    assert.deepEqual(
      readAuthorizations(test),
      ['b1', 'b1', 'b2', 'b2'].map((token) => `Bearer ${token}`),
    );
    assert.equal(test.count(EXCHANGE), 2);
  });

  it('leaves no answer unread when it is repeated', async () => {
    let isCancelled = false;
    const refusal = new ReadableStream({ cancel: () => void (isCancelled = true) });
    const replies = [Response.json({ access_token: 'b1', expires_in: 60 }), new Response(refusal, { status: 401 })];
    replies.push(Response.json({ access_token: 'b2', expires_in: 60 }), Response.json({}));
    const test = createClientUnderTest(
      {},
      { issuer: () => Promise.resolve('j1'), fetch: () => Promise.resolve(replies.shift() ?? Response.error()) },
    );
    assert.equal((await call(test)).status, 200);
    assert.ok(isCancelled);
  });

  it('makes no storm where every bearer is refused', async () => {
    const test = createClientUnderTest(toScript([UNKNOWN]));
    for (let count = 0; count < 50; count += 1) {
      assert.equal((await call(test)).status, 401);
      test.pass(100);
    }
    assert.equal(test.count(EXCHANGE), 2);
    assert.equal(test.count(API), 51);
    test.pass(30_000);
    await call(test);
    assert.equal(test.count(EXCHANGE), 3, 'and tries again after a while');
  });

  it('makes no storm where the server answers 401 and 503 by turns: only a success is an acceptance', async () => {
    const test = createClientUnderTest(
      toScript(Array.from({ length: 60 }, (_, at) => (at % 2 ? toRefusal(503, 'busy') : UNKNOWN))),
    );
    for (let count = 0; count < 50; count += 1) {
      await call(test);
      test.pass(100);
    }
    assert.equal(test.count(EXCHANGE), 2);
  });

  it('is renewed at once again when the bearer between was accepted', async () => {
    const test = createClientUnderTest(toScript([UNKNOWN, OK, UNKNOWN, OK]));
    assert.deepEqual([(await call(test)).status, (await call(test)).status], [200, 200]);
    assert.deepEqual(
      readAuthorizations(test),
      ['b1', 'b2', 'b2', 'b3'].map((token) => `Bearer ${token}`),
    );
  });

  const BODIES: Readonly<Record<string, readonly [body: () => NonNullable<RequestInit['body']>, repeated: boolean]>> = {
    'a text': [() => '{}', true],
    'a form': [() => new URLSearchParams({ a: 'b' }), true],
    'a form with files': [() => new FormData(), true],
    bytes: [() => new Uint8Array(3), true],
    'a blob': [() => new Blob(['x']), true],
    'a stream': [() => new ReadableStream(), false],
    'an iterable': [
      () =>
        (async function* bytes() {
          yield new Uint8Array(1);
        })(),
      false,
    ],
  };
  for (const [name, [toBody, isRepeated]] of Object.entries(BODIES)) {
    it(`is ${isRepeated ? '' : 'not '}repeated with ${name}`, async () => {
      const test = createClientUnderTest(toScript([UNKNOWN, OK]));
      const response = await call(test, { method: 'POST', body: toBody() });
      assert.equal(response.status, isRepeated ? 200 : 401);
      assert.equal((await call(test)).status, 200, 'the next one has another bearer');
      assert.equal(readAuthorizations(test).at(-1), 'Bearer b2');
    });
  }

  for (const status of [400, 403, 404, 500, 503]) {
    it(`is not repeated at ${status}`, async () => {
      const test = createClientUnderTest(toScript([toRefusal(status, 'no')]));
      assert.equal((await call(test, { method: 'POST' })).status, status);
      assert.equal(test.requests.length, 3);
    });
  }

  it('says so when the renewal is refused', async () => {
    const test = createClientUnderTest(
      toScript([UNKNOWN], { '/users/sts': [toJwt('j1'), toRefusal(401, 'signed out')] }),
    );
    await assert.rejects(call(test), { code: 'refused', status: 401, message: 'signed out' });
    assert.equal(test.count('/users/sts'), 2);
  });

  it('fails typed where no answer comes, and when its signal fires', async () => {
    await assert.rejects(call(createClientUnderTest(toScript(['broken']))), hasCode('network'));
    const test = createClientUnderTest(toScript(['silence']));
    const leaving = new AbortController();
    const left = test.client.fetchWithBearer(`${IDPROXY}${API}`, { signal: leaving.signal });
    await test.flush();
    assert.equal(test.count(API), 1);
    leaving.abort();
    await assert.rejects(left, hasCode('aborted'));
  });
});
