import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { assertRefused, PAGE, readJwt, startIssuer } from './issuer-under-test.ts';

describe('the issuer in operation', () => {
  it('limits an address over both paths: 503 with Retry-After, readable by the page', async (t) => {
    const issuer = await startIssuer(t, { rateLimitPerMinute: 3 });
    const init = { method: 'POST', headers: { origin: PAGE }, body: new URLSearchParams({ identity: 'alice' }) };
    const answers = [];
    for (const path of ['/users/sts', '/api/users/sts', '/users/sts/', '/users/sts', '/api/users/sts/']) {
      answers.push(await issuer.send(path, init));
    }
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 503, 503],
    );
    const refused = answers.at(-1);
    assert.ok(refused);
    assertRefused(refused, 503, /^too many requests; try again in \d+ s$/);
    const seconds = Number(refused.headers.get('retry-after'));
    assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, `${seconds} s`);
    assert.equal(refused.headers.get('access-control-allow-origin'), PAGE);
    assert.match(refused.headers.get('access-control-expose-headers') ?? '', /retry-after/);
    const preflight = await issuer.send('/users/sts', { method: 'OPTIONS', headers: { origin: PAGE } });
    assert.equal(preflight.status, 204);
  });

  it('never logs a token, a secret, an identity or a credential', async (t) => {
    const issuer = await startIssuer(t);
    const secrets = {
      clientSecret: 'cl13nt-s3cret',
      authorization: 'Bearer c4ller-b3arer',
      cookie: 'session=c00kie-value',
      query: 'query-t0ken',
      identity: 'al1ce@example.com',
    };
    const headers = {
      'content-type': 'application/json',
      authorization: secrets.authorization,
      cookie: secrets.cookie,
    };
    const jwts: string[] = [];
    for (const body of [{}, { isAnonymous: 'x' }, { aud: 'https://elsewhere.example' }]) {
      const answer = await issuer.send(`/users/sts?token=${secrets.query}`, {
        method: 'POST',
        headers,
        body: JSON.stringify({
          clientId: 'cs-1',
          clientSecret: secrets.clientSecret,
          identity: secrets.identity,
          ...body,
        }),
      });
      if (answer.status === 200) jwts.push(readJwt(answer));
    }
    const broken = await issuer.send('/users/sts', {
      method: 'POST',
      headers,
      body: `{"clientSecret":"${secrets.clientSecret}"`,
    });
    assert.equal(broken.status, 400);
    assert.equal(jwts.length, 1);
    const log = issuer.log();
    assert.equal(log.match(/"msg":"request"/g)?.length, 4);
    const parts = Object.values(secrets).map((text) => text.replace(/^\w+[ =]/, ''));
    for (const text of [...parts, issuer.secret, ...jwts, ...(jwts[0] ?? '').split('.')]) {
      assert.ok(!log.includes(text), text);
    }
  });

  it('counts what it mints and refuses', async (t) => {
    const issuer = await startIssuer(t, { rateLimitPerMinute: 5, allowAnonymous: false });
    await issuer.ask({ identity: 'alice' });
    await issuer.ask({ identity: 'bob' });
    await issuer.ask({ isAnonymous: true });
    await issuer.ask({});
    await issuer.send('/users/sts', { method: 'POST', body: 'x' });
    await issuer.ask({ identity: 'alice' });
    const counted = await issuer.counted();
    const expected = { minted: 2, anonymous_forbidden: 1, invalid_request: 1, unsupported_media_type: 1, busy: 1 };
    for (const [outcome, count] of Object.entries(expected)) {
      assert.ok(counted.includes(`countersign_mints_total{outcome="${outcome}"} ${count}\n`), outcome);
    }
    assert.match(
      counted,
      /countersign_http_requests_total\{server="issuer",method="POST",route="\/api\/users\/sts",status="200"\} 2/,
    );
    assert.doesNotMatch(counted, /alice|bob/);
  });

  it('answers health and readiness', async (t) => {
    const issuer = await startIssuer(t);
    assert.deepEqual((await issuer.send('/healthz')).body, { status: 'ok' });
    assert.deepEqual((await issuer.send('/readyz')).body, { status: 'ok', checks: {} });
  });

  it('has room for more routes behind its own', async (t) => {
    const issuer = await startIssuer(
      t,
      {},
      {
        mountMore: (app) => {
          app.get('/', (_req, res) => void res.json({ page: true }));
          app.post('/users/sts', (_req, res) => void res.json({ jwt: 'not ours' }));
        },
      },
    );
    assert.deepEqual((await issuer.send('/')).body, { page: true });
    assert.match(readJwt(await issuer.ask({ identity: 'alice' })), /^eyJ/);
    assertRefused(await issuer.send('/nowhere'), 404, /nothing here/);
  });

  it('sends the security header fields', async (t) => {
    const issuer = await startIssuer(t);
    const { headers } = await issuer.ask({ identity: 'alice' });
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('x-powered-by'), null);
    assert.match(headers.get('x-request-id') ?? '', /^[\da-f-]{36}$/);
  });
});
