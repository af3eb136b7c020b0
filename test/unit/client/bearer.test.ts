import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ClientError, type ClientErrorCode } from '../../../src/client/client.ts';
import {
  type ClientUnderTest,
  createClientUnderTest,
  IDPROXY,
  NOW_MS,
  type Script,
  toGrant,
  toJwt,
  toRefusal,
  USER,
} from './client-under-test.ts';

const [MINT, EXCHANGE] = ['/users/sts', '/authorize'];
const REPLAY = 'error verifying the jwt: possibly a replay';
const EXPIRED = 'error verifying the jwt: "exp" is in the past';
const BUSY = toRefusal(503, 'too many requests');
const GOOD: Script = { [MINT]: [toJwt('j1'), toJwt('j2'), toJwt('j3')], [EXCHANGE]: [toGrant('b1'), toGrant('b2')] };

async function expectFailsWith(
  promise: Promise<unknown>,
  code: ClientErrorCode,
  more: { readonly status?: number; readonly message?: string } = {},
): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ClientError, String(error));
    assert.equal(error.code, code);
    for (const [name, value] of Object.entries(more)) assert.equal(error[name as keyof typeof more], value);
    return true;
  });
}

const readAssertions = ({ requests }: ClientUnderTest): (string | null)[] =>
  requests.filter(({ path }) => path === EXCHANGE).map(({ init }) => (init.body as URLSearchParams).get('assertion'));

describe('a bearer', () => {
  it('comes of a JWT, by JSON and by form, without cookies for the idproxy', async () => {
    const test = createClientUnderTest(GOOD, { issuer: { ...USER, headers: { authorization: 'Bearer key' } } });
    assert.equal(await test.settle(test.client.getBearer()), 'b1');
    const [mint, exchange] = test.requests.map(({ init }) => init);
    assert.deepEqual(
      [mint?.method, mint?.headers, mint?.credentials, JSON.parse(test.requests[0]?.body ?? '')],
      [
        'POST',
        { authorization: 'Bearer key', 'content-type': 'application/json' },
        'same-origin',
        { identity: 'alice@example.com' },
      ],
    );
    assert.deepEqual(
      [exchange?.method, exchange?.credentials, test.requests[1]?.body],
      ['POST', 'omit', 'assertion=j1'],
    );
    assert.equal(await test.client.getBearer(), 'b1');
    assert.equal(test.requests.length, 2);
  });

  it('is one for all who ask at the same time', async () => {
    const test = createClientUnderTest(GOOD);
    const all = Promise.all(Array.from({ length: 20 }, () => test.client.getBearer()));
    assert.deepEqual(new Set(await test.settle(all)), new Set(['b1']));
    assert.equal(test.requests.length, 2);
  });

  it('is renewed in the last part of its life, while the old one is still handed out', async () => {
    const test = createClientUnderTest(GOOD);
    await test.settle(test.client.getBearer());
    test.pass(0.8 * 3_600_000 - 1);
    assert.equal(await test.client.getBearer(), 'b1');
    assert.equal(test.requests.length, 2);
    test.pass(1);
    assert.deepEqual(await Promise.all([test.client.getBearer(), test.client.getBearer()]), ['b1', 'b1']);
    await test.flush();
    assert.equal(test.requests.length, 4, 'one renewal');
    assert.equal(await test.client.getBearer(), 'b2');
  });

  for (const [random, fraction] of [
    [0, 0.7],
    [0.999, 0.9],
  ] as const) {
    it(`is renewed after ${fraction} of its life when chance says ${random}`, async () => {
      const test = createClientUnderTest(GOOD, { random: () => random });
      await test.settle(test.client.getBearer());
      test.pass((fraction - 0.005) * 3_600_000);
      await test.client.getBearer();
      assert.equal(test.requests.length, 2);
      test.pass(0.01 * 3_600_000);
      await test.client.getBearer();
      await test.flush();
      assert.equal(test.requests.length, 4);
    });
  }

  it('is waited for once the old one has expired', async () => {
    const test = createClientUnderTest(GOOD);
    await test.settle(test.client.getBearer());
    test.pass(3_600_000);
    assert.equal(await test.settle(test.client.getBearer()), 'b2');
  });

  it('stays in use when its renewal fails; a refusal is not repeated, an outage is, later', async () => {
    const outcomes = { refused: toRefusal(401, 'the credential is not valid'), unavailable: BUSY } as const;
    for (const [code, reply] of Object.entries(outcomes)) {
      const failures: unknown[] = [];
      const test = createClientUnderTest(
        { ...GOOD, [MINT]: [toJwt('j1'), reply] },
        { maxAttempts: 1, onRenewalFailure: (error) => failures.push((error as ClientError).code) },
      );
      await test.settle(test.client.getBearer());
      test.pass(0.8 * 3_600_000);
      for (let call = 0; call < 5; call += 1) {
        assert.equal(await test.client.getBearer(), 'b1');
        await test.flush();
      }
      assert.deepEqual([failures, test.count(MINT)], [[code], 2]);
      test.pass(30_000);
      assert.equal(await test.client.getBearer(), 'b1');
      await test.flush();
      assert.equal(test.count(MINT), code === 'refused' ? 2 : 3);
      test.pass(3_600_000);
      await expectFailsWith(test.settle(test.client.getBearer()), code as ClientErrorCode);
    }
  });

  it('of an anonymous visitor is for the same one after a renewal, and for another one in another client', async () => {
    let drawn = 0;
    const random = (): number => (drawn += 0.0123456789) % 1;
    const identities: string[][] = [];
    for (const _ of [1, 2]) {
      const test = createClientUnderTest(GOOD, { issuer: { url: USER.url, isAnonymous: true }, random });
      await test.settle(test.client.getBearer());
      test.pass(3_600_000);
      await test.settle(test.client.getBearer());
      const bodies = test.requests.filter(({ path }) => path === MINT).map(({ body }) => body);
      identities.push(bodies.map((body) => (JSON.parse(body) as { identity: string }).identity));
    }
    const [[first = '', again] = [], [other] = []] = identities;
    assert.ok(first.length > 20, first);
    assert.equal(again, first);
    assert.notEqual(other, first);
  });

  it('comes of a JWT that the page brings', async () => {
    const jwts = ['from the page', 'a later one'];
    const test = createClientUnderTest(GOOD, { issuer: () => Promise.resolve(jwts.shift() ?? '') });
    await test.settle(test.client.getBearer());
    assert.deepEqual(readAssertions(test), ['from the page']);
  });

  it('is not asked for when the page fails to bring a JWT; its error is handed on', async () => {
    const failure = new RangeError('not signed in');
    const test = createClientUnderTest(GOOD, { issuer: () => Promise.reject(failure) });
    await assert.rejects(test.settle(test.client.getBearer()), failure);
    assert.equal(test.requests.length, 0);
  });
});

describe('a failure', () => {
  const FAILURES: Readonly<
    Record<
      string,
      {
        readonly script: Script;
        readonly code: ClientErrorCode;
        readonly status?: number;
        readonly message?: string;
        readonly mints: number;
        readonly exchanges: number;
      }
    >
  > = {
    'an issuer that knows the caller not': {
      script: { ...GOOD, [MINT]: [toRefusal(401, 'the credential is not valid')] },
      code: 'refused',
      status: 401,
      message: 'the credential is not valid',
      mints: 1,
      exchanges: 0,
    },
    'a JWT that is refused for good': {
      script: { ...GOOD, [EXCHANGE]: [toRefusal(401, 'error verifying the jwt: this client is disabled')] },
      code: 'refused',
      status: 401,
      message: 'error verifying the jwt: this client is disabled',
      mints: 1,
      exchanges: 1,
    },
    'a lifetime that is too long is no expiry': {
      script: {
        ...GOOD,
        [EXCHANGE]: [toRefusal(401, 'error verifying the jwt: if "jti" claim "exp" must be <= 1 hour(s)')],
      },
      code: 'refused',
      status: 401,
      mints: 1,
      exchanges: 1,
    },
    'a replay of the fresh JWT, too': {
      script: { ...GOOD, [EXCHANGE]: [toRefusal(401, REPLAY)] },
      code: 'refused',
      status: 401,
      message: REPLAY,
      mints: 2,
      exchanges: 2,
    },
    'the shape of RFC 6749': {
      script: { ...GOOD, [EXCHANGE]: [[400, { error: 'invalid_grant', error_description: 'no such user' }]] },
      code: 'refused',
      status: 400,
      message: 'no such user',
      mints: 1,
      exchanges: 1,
    },
    'the shape of RFC 6749 without a description': {
      script: { ...GOOD, [EXCHANGE]: [[400, { error: 'invalid_grant' }]] },
      code: 'refused',
      status: 400,
      message: 'invalid_grant',
      mints: 1,
      exchanges: 1,
    },
    'a page of a proxy': {
      script: { ...GOOD, [MINT]: [[403, '<html>']] },
      code: 'refused',
      status: 403,
      message: 'status 403',
      mints: 1,
      exchanges: 0,
    },
    'errors of an odd shape': {
      script: { ...GOOD, [MINT]: [[403, { errors: [null], error: 7 }]] },
      code: 'refused',
      status: 403,
      message: 'status 403',
      mints: 1,
      exchanges: 0,
    },
    'a login page in place of a JWT': {
      script: { ...GOOD, [MINT]: [[200, '<html>']] },
      code: 'malformed',
      message: 'no "jwt" in the answer',
      mints: 1,
      exchanges: 0,
    },
    'a grant without a life': {
      script: { ...GOOD, [EXCHANGE]: [[200, { access_token: 'b1' }]] },
      code: 'malformed',
      message: 'no bearer in the answer',
      mints: 1,
      exchanges: 1,
    },
    'a grant without a bearer': {
      script: { ...GOOD, [EXCHANGE]: [[200, 'null']] },
      code: 'malformed',
      message: 'no bearer in the answer',
      mints: 1,
      exchanges: 1,
    },
    'a server that is always busy': {
      script: { ...GOOD, [EXCHANGE]: [BUSY] },
      code: 'unavailable',
      status: 503,
      message: 'too many requests',
      mints: 1,
      exchanges: 5,
    },
    'a limit that is passed': {
      script: { ...GOOD, [MINT]: [toRefusal(429, 'slow down')] },
      code: 'unavailable',
      status: 429,
      mints: 5,
      exchanges: 0,
    },
    'a server that is not there': {
      script: { ...GOOD, [MINT]: ['broken'] },
      code: 'network',
      mints: 5,
      exchanges: 0,
    },
    'a server that never answers': {
      script: { ...GOOD, [EXCHANGE]: ['silence'] },
      code: 'network',
      mints: 1,
      exchanges: 5,
    },
  };
  for (const [name, { script, code, mints, exchanges, ...more }] of Object.entries(FAILURES)) {
    it(`is ${code}: ${name}`, async () => {
      const test = createClientUnderTest(script);
      await expectFailsWith(test.settle(test.client.getBearer()), code, more);
      assert.deepEqual([test.count(MINT), test.count(EXCHANGE)], [mints, exchanges]);
    });
  }

  for (const [name, message] of Object.entries({ 'a replay': REPLAY, 'an expired JWT': EXPIRED })) {
    it(`is healed by one fresh JWT: ${name}`, async () => {
      const test = createClientUnderTest({ ...GOOD, [EXCHANGE]: [toRefusal(401, message), toGrant('b1')] });
      assert.equal(await test.settle(test.client.getBearer()), 'b1');
      assert.deepEqual(readAssertions(test), ['j1', 'j2']);
      assert.deepEqual(test.delaysMs, []);
    });
  }

  it('of the server has the same JWT presented again', async () => {
    const test = createClientUnderTest({ ...GOOD, [EXCHANGE]: [BUSY, 'broken', toGrant('b1')] });
    assert.equal(await test.settle(test.client.getBearer()), 'b1');
    assert.deepEqual(readAssertions(test), ['j1', 'j1', 'j1']);
  });

  it('is followed by doubled delays with full jitter, up to a limit', async () => {
    const draws = [0.5, 0, 0.999, 0.25, 0.5, 0.5];
    let tries = 0;
    const test = createClientUnderTest(
      { ...GOOD, [MINT]: ['broken'] },
      { random: () => draws[tries++] ?? 0, maxAttempts: 7, maxDelayMs: 4000 },
    );
    tries = 0;
    await expectFailsWith(test.settle(test.client.getBearer()), 'network');
    const ceilings = [500, 1000, 2000, 4000, 4000, 4000];
    assert.deepEqual(
      test.delaysMs,
      ceilings.map((ceiling, at) => (draws[at] ?? 0) * ceiling),
    );
  });

  const ASKED: Readonly<Record<string, readonly [retryAfter: string, delayMs: number]>> = {
    'its seconds': ['7', 7000 + 250],
    'no more than the limit': ['86400', 30_000 + 250],
    'a date': [new Date(NOW_MS + 7000).toUTCString(), 7000 + 250],
    'a date that is far away': ['Wed, 21 Oct 2126 07:28:00 GMT', 30_000 + 250],
    'a date that is over': [new Date(NOW_MS - 7000).toUTCString(), 250],
    'nothing that is neither': ['soon', 250],
    'nothing below nothing': ['-5', 250],
  };
  for (const [name, [retryAfter, delayMs]] of Object.entries(ASKED)) {
    it(`is followed by what Retry-After says: ${name}`, async () => {
      const busy = toRefusal(503, 'too many requests', { 'retry-after': retryAfter });
      const test = createClientUnderTest({ ...GOOD, [EXCHANGE]: [busy, toGrant('b1')] });
      assert.equal(await test.settle(test.client.getBearer()), 'b1');
      assert.deepEqual(test.delaysMs, [delayMs]);
    });
  }
});

describe('an address', () => {
  for (const idproxyUrl of [`${IDPROXY}/some/path`, `${IDPROXY}/some/path/`]) {
    it(`may have a path: ${idproxyUrl}`, async () => {
      const test = createClientUnderTest({ ...GOOD, '/some/path/authorize': [toGrant('b1')] }, { idproxyUrl });
      assert.equal(await test.settle(test.client.getBearer()), 'b1');
    });
  }

  it('must be one', () => {
    assert.throws(() => createClientUnderTest(GOOD, { idproxyUrl: 'idproxy' }), TypeError);
  });
});

describe('a signal', () => {
  it('has its caller leave at once, and the others get their bearer', async () => {
    const test = createClientUnderTest(GOOD);
    const leaving = new AbortController();
    const left = test.client.getBearer(leaving.signal);
    const stayed = test.client.getBearer(new AbortController().signal);
    leaving.abort();
    await expectFailsWith(left, 'aborted');
    assert.equal(await test.settle(stayed), 'b1');
    assert.equal(test.requests.length, 2);
  });

  it('that fired before asks nobody', async () => {
    const test = createClientUnderTest(GOOD);
    await expectFailsWith(test.client.getBearer(AbortSignal.abort()), 'aborted');
    assert.equal(test.requests.length, 0);
  });

  it('ends a wait between two tries', async () => {
    const test = createClientUnderTest({ ...GOOD, [MINT]: [BUSY] });
    const leaving = new AbortController();
    const left = test.client.getBearer(leaving.signal);
    await test.flush();
    assert.equal(test.delaysMs.length, 1);
    leaving.abort();
    await expectFailsWith(left, 'aborted');
  });
});
