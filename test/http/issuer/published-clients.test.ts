import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { assertRefused, AUDIENCE, CLIENT_ID, PAGE, readClaims, startIssuer } from './issuer-under-test.ts';

interface ClientRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly sub?: string;
  readonly isAnonymous?: boolean;
}

const FORM = 'application/x-www-form-urlencoded; charset=UTF-8';

/** Requests as the published clients send them: made from what is known of their sources and documentation, no captures of devices. */
const REQUESTS: Readonly<Record<string, ClientRequest>> = {
  'the web SDK, a form': {
    path: '/api/users/sts',
    headers: { 'content-type': FORM, accept: 'application/json, text/javascript, */*; q=0.01', origin: PAGE },
    body: 'clientId=PLEASE_ENTER_CLIENT_ID&clientSecret=PLEASE_ENTER_CLIENT_SECRET&identity=alice%40example.com&aud=&isAnonymous=false',
  },
  'the web SDK, an anonymous user': {
    path: '/api/users/sts',
    headers: { 'content-type': FORM, origin: PAGE },
    body: 'clientId=&clientSecret=&identity=9b0f6c1e-5c43-4f0a-8f38-0f5a1f2c3d4e&aud=&isAnonymous=true',
    sub: '9b0f6c1e-5c43-4f0a-8f38-0f5a1f2c3d4e',
    isAnonymous: true,
  },
  'JWTAsertion, JSON with a slash at the end': {
    path: '/api/users/sts/',
    headers: { 'content-type': 'application/json', origin: PAGE },
    body: '{"identity":"alice@example.com"}',
  },
  'Android, JSON with odd header fields': {
    path: '/users/sts',
    headers: {
      'content-type': 'application/json; charset=utf-8',
      alg: 'RS256',
      typ: 'JWT',
      'user-agent': 'okhttp/3.11.0',
    },
    body: '{"clientId":"cs-1","clientSecret":"x","identity":"alice@example.com","aud":"https://idproxy.kore.com/authorize","isAnonymous":false}',
  },
  'React Native, JSON with a slash at the end': {
    path: '/users/sts/',
    headers: { 'content-type': 'application/json', alg: 'RS256', typ: 'JWT' },
    body: '{"clientId":"cs-1","clientSecret":"x","identity":"alice@example.com","aud":null,"isAnonymous":false}',
  },
  'iOS, a form with 0': {
    path: '/users/sts',
    headers: { 'content-type': FORM, alg: 'RS256', typ: 'JWT' },
    body: 'aud=https%3A//idproxy.kore.com/authorize&clientId=cs-1&clientSecret=x&identity=alice%40example.com&isAnonymous=0',
  },
  'iOS, a form with 1': {
    path: '/users/sts',
    headers: { 'content-type': FORM },
    body: 'aud=&clientId=cs-1&clientSecret=x&identity=Ix-7lV2hYc8b1QkJr0aTzg&isAnonymous=1',
    sub: 'Ix-7lV2hYc8b1QkJr0aTzg',
    isAnonymous: true,
  },
};

describe('requests of the published clients', () => {
  for (const [name, { path, headers, body, sub = 'alice@example.com', isAnonymous = false }] of Object.entries(
    REQUESTS,
  )) {
    it(`are answered: ${name}`, async (t) => {
      const issuer = await startIssuer(t);
      const answer = await issuer.send(path, { method: 'POST', headers, body });
      const { iat = 0, exp, jti, ...claims } = readClaims(issuer, answer);
      assert.deepEqual(claims, { aud: AUDIENCE, iss: CLIENT_ID, sub, isAnonymous });
      assert.equal(exp, iat + 300);
      assert.match(jti ?? '', /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
      assert.equal(answer.headers.get('access-control-allow-origin'), headers['origin'] === undefined ? null : PAGE);
    });
  }

  it('get a preflight answered, on every path', async (t) => {
    const issuer = await startIssuer(t);
    for (const path of ['/api/users/sts', '/api/users/sts/', '/users/sts', '/users/sts/', '/anywhere']) {
      const { status, headers } = await issuer.send(path, {
        method: 'OPTIONS',
        headers: {
          origin: PAGE,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'content-type',
        },
      });
      assert.equal(status, 204, path);
      assert.equal(headers.get('access-control-allow-origin'), PAGE);
      assert.match(headers.get('access-control-allow-methods') ?? '', /\bPOST\b/);
      assert.equal(headers.get('access-control-allow-headers'), 'content-type,authorization,x-rtm-v,alg,typ,dpop');
      assert.equal(headers.get('access-control-allow-credentials'), null);
    }
  });

  it('get nothing allowed on a page of another origin', async (t) => {
    const issuer = await startIssuer(t);
    for (const origin of [
      'http://evil.example',
      'http://page.example.evil.example',
      'https://page.example',
      'null',
      'http://localhost:8080',
    ]) {
      const answer = await issuer.ask({ identity: 'alice' }, { origin });
      assert.equal(answer.headers.get('access-control-allow-origin'), null, origin);
      assert.match(answer.headers.get('vary') ?? '', /origin/i);
    }
  });

  it('may come from loopback pages where that is allowed', async (t) => {
    const issuer = await startIssuer(t, { cors: { origins: [], allowLoopback: true, allowCredentials: false } });
    for (const origin of ['http://localhost:8080', 'http://127.0.0.1:1', 'http://[::1]:5173']) {
      const answer = await issuer.ask({ identity: 'alice' }, { origin });
      assert.equal(answer.headers.get('access-control-allow-origin'), origin);
    }
    const other = await issuer.ask({ identity: 'alice' }, { origin: 'http://localhost.evil.example' });
    assert.equal(other.headers.get('access-control-allow-origin'), null);
  });

  it('get errors that a page can read', async (t) => {
    const issuer = await startIssuer(t);
    const bad = await issuer.ask({}, { origin: PAGE });
    assertRefused(bad, 400, /^"identity" is missing$/);
    assert.equal(bad.headers.get('access-control-allow-origin'), PAGE);
    const nowhere = await issuer.send('/users', { method: 'POST', headers: { origin: PAGE } });
    assertRefused(nowhere, 404, /nothing here/);
    assert.equal(nowhere.headers.get('access-control-allow-origin'), PAGE);
  });

  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'PROPFIND']) {
    it(`get a 405 that helps: ${method}`, async (t) => {
      const issuer = await startIssuer(t);
      for (const path of ['/api/users/sts', '/users/sts/']) {
        const answer = await issuer.send(path, { method, headers: { origin: PAGE } });
        assert.equal(answer.status, 405);
        assert.equal(answer.headers.get('allow'), 'POST, OPTIONS');
        assert.equal(answer.headers.get('access-control-allow-origin'), PAGE);
        if (method === 'HEAD') assert.equal(answer.text, '');
        else assertRefused(answer, 405, /^use POST, OPTIONS here$/);
      }
    });
  }

  it('ask for an audience among the configured ones', async (t) => {
    const issuer = await startIssuer(t);
    const other = await issuer.ask({ identity: 'alice', aud: 'https://idproxy.kore.ai/authorize' });
    assert.equal(readClaims(issuer, other).aud, 'https://idproxy.kore.ai/authorize');
    const unknown = await issuer.ask({ identity: 'alice', aud: 'https://elsewhere.example' });
    assertRefused(unknown, 400, /^"aud" is not an audience of this issuer$/);
    assertRefused(await issuer.ask({ identity: 'alice', aud: [AUDIENCE] }), 400, /^"aud" must be a string$/);
  });
});
