import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { IdentityPlace } from '../../../src/issuer/settings.ts';
import { assertRefused, type IssuerUnderTest, PAGE, readClaims, startIssuer } from './issuer-under-test.ts';
import { answerJson, type Answering, startUpstream, type UpstreamUnderTest } from './upstream-under-test.ts';

const COOKIE = { cookie: 'session=s3ss10n-value' };

interface Started {
  readonly issuer: IssuerUnderTest;
  readonly upstream: UpstreamUnderTest;
}

async function start(
  t: TestContext,
  answer: Answering,
  identity: IdentityPlace = 'json:identity',
  timeoutMs = 5_000,
): Promise<Started> {
  const upstream = await startUpstream(t, answer);
  const callerAuth = { mode: 'forward-auth', url: `${upstream.url}/me?x=1`, identity } as const;
  return { upstream, issuer: await startIssuer(t, { callerAuth, upstreamTimeoutMs: timeoutMs }) };
}

/** Answers that name no user, and what the caller gets. */
const REFUSALS: Readonly<Record<string, { answer: Answering; status: 401 | 503; place?: IdentityPlace }>> = {
  '401': { answer: answerJson({ identity: 'alice' }, 401), status: 401 },
  '403': { answer: answerJson({ identity: 'alice' }, 403), status: 401 },
  'a redirect to the login page': {
    answer: (res) => void res.writeHead(302, { location: '/login' }).end(),
    status: 401,
  },
  '404': { answer: answerJson({ identity: 'alice' }, 404), status: 503 },
  '500': { answer: answerJson({ identity: 'alice' }, 500), status: 503 },
  'no member': { answer: answerJson({ user: 'alice' }), status: 503 },
  'an inherited member': { answer: answerJson({}), status: 503, place: 'json:constructor' },
  'an empty name': { answer: answerJson({ identity: '' }), status: 503 },
  'a number': { answer: answerJson({ identity: 42 }), status: 503 },
  'a list': { answer: answerJson({ identity: ['alice'] }), status: 503 },
  'a name that is too long': { answer: answerJson({ identity: 'a'.repeat(257) }), status: 503 },
  'a name with a control character': { answer: answerJson({ identity: 'alice\n' }), status: 503 },
  'two names': {
    answer: (res) => void res.end('{"identity":"alice","identity":"bob"}'),
    status: 503,
  },
  'a page': { answer: (res) => void res.end('<html>alice</html>'), status: 503 },
  'bytes that are no UTF-8': { answer: (res) => void res.end(Buffer.from([0x22, 0xff, 0x22])), status: 503 },
  'no body': { answer: (res) => void res.writeHead(204).end(), status: 503 },
  'more than 64 KB': { answer: answerJson({ identity: 'alice', x: 'x'.repeat(65_536) }), status: 503 },
  'no header field': { answer: answerJson({ identity: 'alice' }), status: 503, place: 'header:x-user' },
  'a header field that is no UTF-8': {
    answer: (res) => void res.writeHead(200, { 'x-user': '\u00ff' }).end(),
    status: 503,
    place: 'header:x-user',
  },
  'a broken connection': { answer: (res) => void res.destroy(), status: 503 },
  'a broken body': {
    answer: (res) => {
      res.writeHead(200, { 'content-length': 100 });
      res.write('{"identity":', () => res.destroy());
    },
    status: 503,
  },
};

describe('callers known to a forward-auth URL', () => {
  it('are asked about with Cookie and Authorization and nothing else of theirs', async (t) => {
    const { issuer, upstream } = await start(t, answerJson({ identity: 'alice@example.com' }));
    const headers = {
      ...COOKIE,
      authorization: 'Negotiate abc',
      'x-forwarded-for': '10.0.0.1',
      'x-secret': '1',
      origin: PAGE,
      referer: PAGE,
    };
    const answer = await issuer.ask({ identity: 'alice@example.com' }, headers);
    assert.equal(readClaims(issuer, answer).sub, 'alice@example.com');
    const [seen] = upstream.seen;
    assert.equal(upstream.seen.length, 1);
    assert.equal(`${seen?.method} ${seen?.url}`, 'GET /me?x=1');
    assert.equal(seen?.body, '');
    assert.equal(seen?.headers.cookie, COOKIE.cookie);
    assert.equal(seen?.headers.authorization, 'Negotiate abc');
    const fetchesOwn = [
      'accept',
      'accept-encoding',
      'accept-language',
      'connection',
      'host',
      'sec-fetch-mode',
      'user-agent',
    ];
    const unexpected = Object.keys(seen?.headers ?? {}).filter(
      (name) => ![...fetchesOwn, 'cookie', 'authorization'].includes(name),
    );
    assert.deepEqual(unexpected, []);
    assert.equal(seen?.headers['host'], new URL(upstream.url).host);
  });

  it('need not name themselves', async (t) => {
    const { issuer } = await start(t, answerJson({ login: 'Zoë' }), 'json:login');
    assert.equal(readClaims(issuer, await issuer.ask({}, COOKIE)).sub, 'Zoë');
  });

  it('may be named by a header field, in UTF-8', async (t) => {
    const named: Answering = (res) => {
      res.writeHead(200, { 'X-User': Buffer.from('Zoë').toString('latin1') }).end('anything');
    };
    const { issuer } = await start(t, named, 'header:x-user');
    assert.equal(readClaims(issuer, await issuer.ask({ identity: 'Zoë' }, COOKIE)).sub, 'Zoë');
  });

  it('may not be anybody else', async (t) => {
    const { issuer } = await start(t, answerJson({ identity: 'alice' }));
    for (const identity of ['bob', 'Alice', 'alice ', 'alice,bob']) {
      assertRefused(
        await issuer.ask({ identity }, COOKIE),
        403,
        /^you may not ask for another identity than your own$/,
      );
    }
  });

  it('are nobody without a cookie or Authorization; nobody is asked', async (t) => {
    const { issuer, upstream } = await start(t, answerJson({ identity: 'alice' }));
    assertRefused(await issuer.ask({ identity: 'alice' }), 401, /^a credential is missing$/);
    assert.equal(upstream.seen.length, 0);
  });

  for (const [name, { answer, status, place }] of Object.entries(REFUSALS)) {
    it(`are not known by ${name}`, async (t) => {
      const { issuer, upstream } = await start(t, answer, place);
      const refusal = await issuer.ask({ identity: 'alice' }, { ...COOKIE, origin: PAGE });
      assertRefused(refusal, status, status === 401 ? /^the credential is not valid$/ : /does not answer; try again$/);
      assert.equal(refusal.headers.get('retry-after'), status === 503 ? '1' : null);
      assert.equal(refusal.headers.get('access-control-allow-origin'), PAGE);
      assert.equal(upstream.seen.length, 1, 'no redirect was followed');
      assert.ok(!issuer.log().includes('s3ss10n-value'));
    });
  }

  const slow: Readonly<Record<string, Answering>> = {
    'that never answers': () => undefined,
    'that stops in the middle': (res) => {
      res.writeHead(200, { 'content-type': 'application/json' }).write('{"identity":');
    },
  };
  for (const [name, answer] of Object.entries(slow)) {
    it(`do not wait for a URL ${name}`, async (t) => {
      const { issuer } = await start(t, answer, 'json:identity', 100);
      assertRefused(await issuer.ask({ identity: 'alice' }, COOKIE), 503, /does not answer/);
      assert.match(issuer.log(), /no answer within 100 ms/);
    });
  }

  it('are not known where nothing listens', async (t) => {
    const { issuer, upstream } = await start(t, answerJson({ identity: 'alice' }));
    await upstream.stop();
    assertRefused(await issuer.ask({ identity: 'alice' }, COOKIE), 503, /does not answer/);
  });

  it('may send their cookies from allowed pages', async (t) => {
    const { issuer } = await start(t, answerJson({ identity: 'alice' }));
    const answer = await issuer.ask({}, { ...COOKIE, origin: PAGE });
    assert.equal(answer.headers.get('access-control-allow-credentials'), 'true');
    assert.equal(answer.headers.get('access-control-allow-origin'), PAGE);
    const foreign = await issuer.ask({}, { ...COOKIE, origin: 'http://evil.example' });
    assert.equal(foreign.headers.get('access-control-allow-origin'), null);
  });
});
