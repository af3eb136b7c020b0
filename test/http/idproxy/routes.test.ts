import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import type { Json } from '../../support/assertions.ts';
import {
  ADMIN_TOKEN,
  type AppUnderTest,
  type IdproxyUnderTest,
  seedsError,
  START_AT,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';

const UUID = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` };

describe('routes of the idproxy', () => {
  let idproxy: IdproxyUnderTest;
  let app: AppUnderTest;

  before(async () => {
    idproxy = await startIdproxyUnderTest();
    app = await idproxy.register({ algorithm: 'HS256' });
  });
  after(() => idproxy.close());

  const form = (path: string, text: string, headers = {}) =>
    idproxy.request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8', ...headers },
      body: text,
    });
  const getBearer = async (from = app): Promise<string> => (await idproxy.authorize(from.sign())).body.access_token;
  const introspect = async (token: string): Promise<object> =>
    (await idproxy.post('/oauth/introspect', { token }, ADMIN)).body;

  test('/authorize answers as documented, by JSON and by form', async () => {
    for (const answer of [await idproxy.authorize(app.sign()), await form('/authorize', `assertion=${app.sign()}`)]) {
      assert.equal(answer.status, 200);
      assert.match(answer.body.access_token, /^cs1_[0-9a-f]{4}_[\w-]{43}$/);
      assert.deepEqual(
        { ...answer.body, access_token: '' },
        { access_token: '', token_type: 'Bearer', expires_in: 3600, issued_at: START_AT },
      );
      assert.equal(answer.headers.get('cache-control'), 'no-store');
    }
  });

  for (const path of ['/api/oAuth/token/jwtgrant', '/api/1.1/oAuth/token/jwtgrant', '/api/oAuth/token/jwtgrant/']) {
    test(`${path} answers in the published clients' shape, by JSON and by nested form`, async () => {
      const botInfo = { chatBot: 'Bot', taskBotId: 'st-1', customData: { a: { b: 'c' } } };
      const nested = 'botInfo[chatBot]=Bot&botInfo%5BtaskBotId%5D=st-1&botInfo[customData][a]=1&uiVersion=v3';
      const answers = [
        await idproxy.post(path, { assertion: app.sign(), botInfo, token: {} }),
        await form(path, `assertion=${app.sign()}&${nested}`),
      ];
      for (const { status, body } of answers) {
        assert.equal(status, 200);
        const { authorization, userInfo } = body;
        assert.deepEqual(Object.keys(authorization), ['accessToken', 'token_type', 'issuedDate', 'expiresDate']);
        assert.equal(authorization.token_type, 'bearer');
        assert.equal(authorization.issuedDate, '2026-01-01T00:00:00.000Z');
        assert.equal(authorization.expiresDate, '2026-01-01T01:00:00.000Z');
        assert.match(userInfo.userId, new RegExp(`^u-${UUID}$`));
        assert.match(userInfo.orgId, new RegExp(`^o-${UUID}$`));
        assert.equal(userInfo.identity, `${app.clientId}/alice@example.com`);
        const { accountId, managedBy, ...rest } = userInfo;
        assert.equal(accountId, managedBy);
        assert.deepEqual(Object.keys(rest), ['userId', 'orgId', 'identity', 'enrollType', 'fName', 'lName']);
      }
      assert.equal(answers[0]?.body.userInfo.userId, answers[1]?.body.userInfo.userId);
    });
  }

  test('user ids differ by app, by subject and by anonymity, and never by time', async () => {
    const other = await idproxy.register({ algorithm: 'HS256', allowAnonymous: true });
    const ids = [];
    for (const token of [app.sign(), other.sign(), other.sign({ sub: 'bob' }), other.sign({ isAnonymous: true })]) {
      ids.push((await idproxy.post('/api/oAuth/token/jwtgrant', { assertion: token })).body.userInfo.userId);
    }
    assert.equal(new Set(ids).size, 4);
  });

  test('userinfo, introspection and revocation follow a bearer through its life', async () => {
    const bearer = await getBearer();
    for (const scheme of ['bearer', 'Bearer', 'BEARER']) {
      const { status, body } = await idproxy.request('/api/1.1/userinfo', {
        headers: { authorization: `${scheme} ${bearer}` },
      });
      assert.equal(status, 200);
      assert.equal(body.sub, 'alice@example.com');
      assert.equal(body.isAnonymous, false);
    }
    const { user_id: userId, session_id: sessionId, ...introspection } = (await introspect(bearer)) as Json;
    assert.match(String(userId), /^u-/);
    assert.match(String(sessionId), /^[\da-f]{4}\.[\w-]{43}$/);
    assert.ok(!bearer.includes(String(sessionId).slice(5)), 'the public name of a session is not its bearer');
    assert.deepEqual(introspection, {
      active: true,
      client_id: app.clientId,
      sub: 'alice@example.com',
      is_anonymous: false,
      token_type: 'Bearer',
      iss: 'https://idproxy.example',
      iat: START_AT,
      exp: START_AT + 3600,
      user_context: { privateClaims: {}, secureCustomData: {}, customData: {} },
    });
    const basic = Buffer.from(`admin:${encodeURIComponent(ADMIN_TOKEN)}`).toString('base64');
    assert.equal(
      (await form('/oauth/introspect', `token=${bearer}`, { authorization: `Basic ${basic}` })).body.active,
      true,
    );
    assert.deepEqual((await form('/oauth/revoke', `token=${bearer}&token_type_hint=access_token`, ADMIN)).status, 200);
    assert.deepEqual(await introspect(bearer), { active: false });
    const { status, body } = await idproxy.request('/api/1.1/userinfo', {
      headers: { authorization: `bearer ${bearer}` },
    });
    assert.deepEqual(
      { status, body },
      { status: 401, body: seedsError(401, 'the bearer token is expired or unknown') },
    );
    assert.equal((await form('/oauth/revoke', `token=${bearer}`, ADMIN)).status, 200);
  });

  test('a bearer ends with its life', async () => {
    const bearer = await getBearer();
    idproxy.clock.set(START_AT + 3600);
    try {
      assert.deepEqual(await introspect(bearer), { active: false });
    } finally {
      idproxy.clock.set(START_AT);
    }
  });

  const NO_CALLERS: Readonly<Record<string, Record<string, string>>> = {
    'no credential': {},
    'a wrong bearer': { authorization: 'Bearer nonsense' },
    'a wrong password': { authorization: `Basic ${Buffer.from('admin:nonsense').toString('base64')}` },
    'a scheme nobody knows': { authorization: 'Digest x' },
  };
  for (const [what, headers] of Object.entries(NO_CALLERS)) {
    for (const path of ['/oauth/introspect', '/oauth/revoke']) {
      test(`${path} with ${what} is invalid_client`, async () => {
        const bearer = await getBearer();
        const answer = await form(path, `token=${bearer}`, headers);
        assert.equal(answer.status, 401);
        assert.equal(answer.body.error, 'invalid_client');
        const scheme = headers['authorization']?.startsWith('Basic') ? 'Basic' : 'Bearer';
        assert.match(answer.headers.get('www-authenticate') ?? '', new RegExp(`^${scheme} realm="countersign"`));
        assert.equal(((await introspect(bearer)) as { active: boolean }).active, true);
      });
    }
  }

  test('a bearer may end itself, but no other', async () => {
    const [mine, other] = [await getBearer(), await getBearer()];
    assert.equal((await form('/oauth/revoke', `token=${other}`, { authorization: `bearer ${mine}` })).status, 401);
    assert.equal((await form('/oauth/revoke', `token=${mine}`, { authorization: `bearer ${mine}` })).status, 200);
    assert.deepEqual(await introspect(mine), { active: false });
  });

  const TOKEN_ANSWERS: Readonly<Record<string, readonly [() => string, number, string | undefined]>> = {
    'a good assertion': [() => `grant_type=${JWT_BEARER}&assertion=${app.sign()}`, 200, undefined],
    'an empty scope': [() => `grant_type=${JWT_BEARER}&scope=&assertion=${app.sign()}`, 200, undefined],
    'a scope': [() => `grant_type=${JWT_BEARER}&scope=all&assertion=${app.sign()}`, 400, 'invalid_scope'],
    'an expired assertion': [() => `grant_type=${JWT_BEARER}&assertion=${app.sign({ exp: 1 })}`, 400, 'invalid_grant'],
    'no assertion': [() => `grant_type=${JWT_BEARER}`, 400, 'invalid_request'],
    'no grant type': [() => `assertion=${app.sign()}`, 400, 'invalid_request'],
    'another grant type': [() => 'grant_type=password&username=a', 400, 'unsupported_grant_type'],
    'the grant type twice': [() => `grant_type=a&grant_type=${JWT_BEARER}`, 400, 'invalid_request'],
    nothing: [() => '', 400, 'invalid_request'],
  };
  for (const [what, [make, status, error]] of Object.entries(TOKEN_ANSWERS)) {
    test(`/oauth/token with ${what} is ${error ?? 'granted'}`, async () => {
      const answer = await form('/oauth/token', make());
      assert.equal(answer.status, status);
      assert.equal(answer.headers.get('cache-control'), 'no-store');
      if (error === undefined) assert.deepEqual(Object.keys(answer.body), ['access_token', 'token_type', 'expires_in']);
      else assert.deepEqual([answer.body.error, typeof answer.body.error_description], [error, 'string']);
    });
  }

  test('rtm/start says what it is about: 401 for the bearer alone, else 403 or 404', async () => {
    const own = await idproxy.register({ algorithm: 'HS256', bots: ['st-1'] });
    const bearer = await getBearer(own);
    const start = (token: string | undefined, botId: string) =>
      idproxy.post(
        '/api/rtm/start',
        { botInfo: { taskBotId: botId }, token: {} },
        token ? { authorization: `bearer ${token}` } : {},
      );
    assert.equal((await start(undefined, 'st-1')).status, 401);
    assert.equal((await start('nonsense', 'st-1')).status, 401);
    const botless = await idproxy.post('/api/rtm/start', {}, { authorization: `bearer ${bearer}` });
    assert.equal(botless.status, 403);
    assert.deepEqual((await start(bearer, 'st-2')).body, seedsError(403, 'this client may not use this bot'));
    assert.deepEqual(
      (await start(bearer, 'st-1')).body,
      seedsError(404, 'real-time sessions are not offered by this server'),
    );
    await idproxy.admin('PATCH', `/admin/apps/${own.clientId}`, { enabled: false });
    assert.deepEqual((await start(bearer, 'st-1')).body, seedsError(403, 'this client is disabled or gone'));
    assert.deepEqual(await introspect(bearer), { active: false });
    await idproxy.admin('PATCH', `/admin/apps/${own.clientId}`, { enabled: true });
    assert.equal((await start(bearer, 'st-1')).status, 404);
    await idproxy.admin('DELETE', `/admin/apps/${own.clientId}`);
    // Its users are erased with it, and their sessions with them.
    assert.equal((await start(bearer, 'st-1')).status, 401);
  });

  test('a bot that the app may not use is refused at the exchange, and burns no jti', async () => {
    const own = await idproxy.register({ algorithm: 'HS256', bots: ['st-1'] });
    const assertion = own.sign();
    const grant = (taskBotId: string) =>
      idproxy.post('/api/oAuth/token/jwtgrant', { assertion, botInfo: { taskBotId } });
    assert.equal((await grant('st-2')).status, 401);
    assert.equal((await grant('st-1')).status, 200);
  });

  test('metadata and keys are as RFC 8414 and RFC 7517 want them', async () => {
    const { body } = await idproxy.request('/.well-known/oauth-authorization-server');
    assert.equal(body.issuer, 'https://idproxy.example');
    assert.equal(body.token_endpoint, 'https://idproxy.example/oauth/token');
    assert.deepEqual(body.grant_types_supported, [JWT_BEARER, 'urn:ietf:params:oauth:grant-type:token-exchange']);
    const { keys } = (await idproxy.request('/.well-known/jwks.json')).body;
    assert.equal(keys.length, 1);
    assert.deepEqual(Object.keys(keys[0]).toSorted(), ['e', 'kid', 'kty', 'n', 'use']);
  });

  const HOSTILE: Readonly<Record<string, RequestInit>> = {
    'no body': {},
    'an empty object': { body: '{}' },
    'an array': { body: '[]' },
    'a number': { body: '1' },
    'an assertion that is an array': { body: '{"assertion":["a"]}' },
    'an assertion that is an object': { body: '{"assertion":{"toString":1}}' },
    'an assertion twice': { body: '{"assertion":"a","assertion":"b"}' },
    __proto__: { body: '{"__proto__":{"assertion":"a.b.c"}}' },
    constructor: { body: '{"constructor":{"prototype":{"assertion":"a.b.c"}}}' },
    'an absurd number': { body: '{"assertion":1e999}' },
    'JSON that ends early': { body: '{"assertion":"' },
    'a thousand levels': { body: `{"assertion":${'['.repeat(1000)}${']'.repeat(1000)}}` },
    'a form with a bad percent-encoding': {
      body: 'assertion=%E0%A4%A',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    },
    'a form with the field twice': {
      body: 'assertion=a&assertion=b',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    },
    'a form with brackets': {
      body: 'assertion[x]=a',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    },
    'a form of __proto__': {
      body: '__proto__[assertion]=a',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    },
    XML: { body: '<a/>', headers: { 'content-type': 'application/xml' } },
    'a body of 100 KB': { body: JSON.stringify({ assertion: 'x'.repeat(100_000) }) },
  };
  const EXPECTED: Readonly<Record<string, number>> = { XML: 415, 'a body of 100 KB': 413 };
  const PATHS = ['/authorize', '/api/oAuth/token/jwtgrant', '/oauth/token', '/oauth/introspect', '/admin/apps'];
  for (const [what, init] of Object.entries(HOSTILE)) {
    test(`${what} is refused in JSON everywhere, and the server lives`, async () => {
      for (const path of PATHS) {
        const headers = { 'content-type': 'application/json', ...ADMIN, ...(init.headers as object | undefined) };
        const { status, body } = await idproxy.request(path, { method: 'POST', ...init, headers });
        assert.equal(
          status,
          Object.hasOwn(EXPECTED, what) ? EXPECTED[what] : 400,
          `${path} ${status} ${JSON.stringify(body)}`,
        );
        if (path.startsWith('/oauth')) assert.equal(typeof body.error, 'string');
        else assert.equal(body.errors[0].code, status);
      }
      assert.equal((await idproxy.request('/healthz')).status, 200);
    });
  }

  test('other methods get 405 with Allow, unknown paths 404, both in JSON', async () => {
    for (const path of ['/authorize', '/api/oAuth/token/jwtgrant', '/oauth/token', '/api/rtm/start']) {
      const { status, body, headers } = await idproxy.request(path);
      assert.deepEqual([status, headers.get('allow')], [405, 'POST'], path);
      assert.ok(JSON.stringify(body).includes('use POST here'));
    }
    for (const path of ['/ADMIN/apps', '/Admin/apps', '/METRICS', '/ReadyZ', '//admin/apps', '/%61dmin/apps']) {
      assert.equal((await idproxy.request(path, { headers: ADMIN })).status, 404, path);
    }
    assert.deepEqual((await idproxy.request('/nowhere')).body, seedsError(404, 'there is nothing here'));
    for (const path of ['/oauth/nope', '/oauth/token/x', '/oauth/%ff']) {
      const { body } = await idproxy.request(path, { method: 'POST' });
      assert.deepEqual(Object.keys(body), ['error', 'error_description'], path);
    }
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      const { status, headers, body } = await idproxy.request(path, { method: 'POST' });
      assert.deepEqual([status, headers.get('allow'), body], [405, 'GET', seedsError(405, 'use GET here')]);
    }
    assert.equal((await idproxy.request('/admin/apps/%E0%A4%A', { headers: ADMIN })).status, 400);
  });

  test('pages of listed origins may read answers, errors included; the admin API is for no page', async () => {
    const origin = 'https://page.example';
    const refused = await idproxy.post('/authorize', {}, { origin });
    assert.equal(refused.status, 400);
    assert.equal(refused.headers.get('access-control-allow-origin'), origin);
    const preflight = (path: string, from: string) =>
      fetch(idproxy.url + path, {
        method: 'OPTIONS',
        headers: {
          origin: from,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'content-type,x-rtm-v',
        },
      });
    const allowed = await preflight('/api/rtm/start', origin);
    assert.equal(allowed.status, 204);
    assert.match(allowed.headers.get('access-control-allow-headers') ?? '', /x-rtm-v/);
    assert.equal(
      (await preflight('/authorize', 'https://evil.example')).headers.get('access-control-allow-origin'),
      null,
    );
    assert.equal((await preflight('/admin/apps', origin)).headers.get('access-control-allow-origin'), null);
  });
});

test('too many requests: 503 with Retry-After for published clients, 429 elsewhere', async () => {
  const idproxy = await startIdproxyUnderTest(undefined, { rateLimitPerMinute: 2 });
  try {
    const STATUSES: Readonly<Record<string, number>> = {
      '/authorize': 503,
      '/api/oAuth/token/jwtgrant': 503,
      '/api/rtm/start': 503,
      '/oauth/token': 429,
    };
    for (const [path, expected] of Object.entries(STATUSES)) {
      const answers = [];
      for (let count = 0; count < 3; count++) answers.push(await idproxy.post(path, {}));
      assert.deepEqual(
        answers.map(({ status }) => status >= 429),
        [false, false, true],
        path,
      );
      assert.equal(answers[2]?.status, expected, path);
      assert.ok(Number(answers[2]?.headers.get('retry-after')) >= 1);
    }
  } finally {
    await idproxy.close();
  }
});
