import assert from 'node:assert/strict';
import { createHash, createHmac, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';

import { AppError } from '../../../src/core/errors.ts';
import { createEchoBot } from '../../../src/sessions/bots/echo-bot.ts';
import { DPOP_CLOCK_TOLERANCE_SECONDS, DPOP_PROOF_LIFE_SECONDS } from '../../../src/idproxy/dpop.ts';
import { parseSessionBody } from '../../../src/idproxy/session.ts';
import type { Json } from '../../support/assertions.ts';
import { createProofKey, type ProofKey, signProof, toAth } from '../../support/dpop.ts';
import {
  ADMIN_TOKEN,
  type Answer,
  type AppUnderTest,
  BACKENDS,
  type IdproxyUnderTest,
  START_AT,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const URL_OF = (path: string): string => `https://idproxy.example${path}`;
const TOKEN_URL = URL_OF('/oauth/token');
const USERINFO = '/api/1.1/userinfo';
const START = '/api/1.1/rtm/start';
const ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` };
const CHALLENGE = /^DPoP realm="countersign", error="(\w+)", algs="ES256 [^"]*RS512"$/;

for (const [backend, open] of Object.entries(BACKENDS)) {
  describe(`DPoP on ${backend}`, () => {
    let idproxy: IdproxyUnderTest;
    let app: AppUnderTest;
    let key: ProofKey;

    before(async () => {
      idproxy = await startIdproxyUnderTest(open, { bot: createEchoBot() });
      app = await idproxy.register({ algorithm: 'HS256' });
      key = createProofKey(() => idproxy.clock.nowSeconds());
    });
    after(() => idproxy.close());

    const ask = (proof: string | undefined, assertion = app.sign(), more: Json = {}): Promise<Answer> =>
      idproxy.post(
        '/oauth/token',
        { grant_type: JWT_BEARER, assertion, ...more },
        proof === undefined ? {} : { DPoP: proof },
      );
    const getBound = async (from = app, by = key): Promise<string> => {
      const { status, body } = await ask(by.prove('POST', TOKEN_URL), from.sign());
      assert.equal(status, 200, JSON.stringify(body));
      return body.access_token;
    };
    const use = (path: string, authorization: string, proof?: string): Promise<Answer> =>
      idproxy.request(path, {
        method: path === START ? 'POST' : 'GET',
        headers: {
          authorization,
          ...(path === START && { 'content-type': 'application/json' }),
          ...(proof !== undefined && { dpop: proof }),
        },
        ...(path === START && { body: '{}' }),
      });
    const proveUse = (path: string, token: string, by = key): string =>
      by.prove(path === START ? 'POST' : 'GET', URL_OF(path), { ath: toAth(token) });

    test('a bearer is bound to the key of the proof, and says so', async () => {
      const { status, body, headers } = await ask(key.prove('POST', TOKEN_URL));
      assert.equal(status, 200);
      assert.equal(body.token_type, 'DPoP');
      assert.equal(headers.get('cache-control'), 'no-store');
      assert.match(body.access_token, /^cs1_dpop_[0-9a-f]{4}_[\w-]{43}$/);
      const introspection = (await idproxy.post('/oauth/introspect', { token: body.access_token }, ADMIN)).body;
      assert.equal(introspection.token_type, 'DPoP');
      assert.deepEqual(introspection.cnf, { jkt: key.jkt });
      const { body: unbound } = await ask(undefined);
      assert.equal(unbound.token_type, 'Bearer');
      const plain = (await idproxy.post('/oauth/introspect', { token: unbound.access_token }, ADMIN)).body;
      assert.equal(plain.token_type, 'Bearer');
      assert.equal(plain.cnf, undefined);
    });

    test('it is one for userinfo, history and rtm/start with the scheme DPoP and a proof', async () => {
      const token = await getBound();
      for (const path of [USERINFO, START, '/api/1.1/botmessages/rtm']) {
        const query = path.endsWith('rtm') ? '?botId=st-1' : '';
        for (const scheme of ['DPoP', 'dpop', 'DPOP']) {
          const { status, body } = await use(path + query, `${scheme} ${token}`, proveUse(path, token));
          assert.equal(status, 200, `${path} ${JSON.stringify(body)}`);
        }
      }
    });

    test('without its proof, or with another one, it is none', async () => {
      const token = await getBound();
      const other = createProofKey(() => idproxy.clock.nowSeconds());
      const unbound = (await ask(undefined)).body.access_token as string;
      const used = proveUse(USERINFO, token);
      assert.equal((await use(USERINFO, `DPoP ${token}`, used)).status, 200);
      const cases: Readonly<Record<string, readonly [string, string, string | undefined, string, RegExp]>> = {
        'as a plain bearer': [USERINFO, `Bearer ${token}`, undefined, 'invalid_token', /is bound to a key/],
        'as a plain bearer with a proof': [
          USERINFO,
          `Bearer ${token}`,
          proveUse(USERINFO, token),
          'invalid_token',
          /is bound to a key/,
        ],
        'as a plain bearer at rtm/start': [START, `bearer ${token}`, undefined, 'invalid_token', /is bound to a key/],
        'without a proof': [USERINFO, `DPoP ${token}`, undefined, 'invalid_dpop_proof', /is missing/],
        'without a proof at rtm/start': [START, `DPoP ${token}`, undefined, 'invalid_dpop_proof', /is missing/],
        'by another key': [
          USERINFO,
          `DPoP ${token}`,
          proveUse(USERINFO, token, other),
          'invalid_dpop_proof',
          /another key/,
        ],
        'for another bearer': [USERINFO, `DPoP ${token}`, proveUse(USERINFO, unbound), 'invalid_dpop_proof', /"ath"/],
        'without ath': [
          USERINFO,
          `DPoP ${token}`,
          key.prove('GET', URL_OF(USERINFO)),
          'invalid_dpop_proof',
          /no "ath"/,
        ],
        'for another path': [
          USERINFO,
          `DPoP ${token}`,
          proveUse('/api/1.1/other', token),
          'invalid_dpop_proof',
          /"htu"/,
        ],
        'for another method': [
          USERINFO,
          `DPoP ${token}`,
          key.prove('POST', URL_OF(USERINFO), { ath: toAth(token) }),
          'invalid_dpop_proof',
          /"htm"/,
        ],
        'used before': [USERINFO, `DPoP ${token}`, used, 'invalid_dpop_proof', /used before/],
        'an unbound bearer': [USERINFO, `DPoP ${unbound}`, proveUse(USERINFO, unbound), 'invalid_token', /not bound/],
      };
      for (const [name, [path, authorization, proof, error, msg]] of Object.entries(cases)) {
        const { status, body, headers } = await use(path, authorization, proof);
        assert.equal(status, 401, name);
        assert.match(body.errors[0].msg, msg, name);
        assert.equal(CHALLENGE.exec(headers.get('www-authenticate') ?? '')?.[1], error, name);
      }
    });

    const es256 = createProofKey(() => START_AT);
    const forged = signProof({ typ: 'dpop+jwt', alg: 'ES256', jwk: es256.jwk }, {}, 'ES256', es256.privateKey);
    const hmac = (header: Json, secret: string): string => {
      const input = `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${forged.split('.')[1]}`;
      return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
    };
    const BAD_PROOFS: Readonly<Record<string, (url: string) => string>> = {
      'no token': () => 'abc',
      'an empty header': () => '',
      'too large': () => 'a'.repeat(7_000),
      'five parts': () => 'a.b.c.d.e',
      'an assertion': () => app.sign(),
      'two proofs in one field': (url) => `${key.prove('POST', url)}, ${key.prove('POST', url)}`,
      'typ JWT': (url) => key.prove('POST', url, {}, { typ: 'JWT' }),
      'typ in capitals': (url) => key.prove('POST', url, {}, { typ: 'DPOP+JWT' }),
      'no typ': (url) => key.prove('POST', url, {}, { typ: undefined }),
      'alg none': (url) => `${key.prove('POST', url, {}, { alg: 'none' }).split('.').slice(0, 2).join('.')}.`,
      'alg HS256': () => hmac({ typ: 'dpop+jwt', alg: 'HS256', jwk: { kty: 'oct', k: 'c2VjcmV0' } }, 'secret'),
      'alg __proto__': (url) => key.prove('POST', url, {}, { alg: '__proto__' }),
      'alg of another kind of key': (url) => key.prove('POST', url, {}, { alg: 'RS256' }),
      'alg of another curve': (url) => key.prove('POST', url, {}, { alg: 'ES384' }),
      'a key of another curve, signed as alg says': (url) => {
        const { jwk, privateKey } = createProofKey(() => START_AT, 'ES384');
        const header = { typ: 'dpop+jwt', alg: 'ES256', jwk };
        return signProof(header, { htm: 'POST', htu: url, iat: START_AT, jti: 'x' }, 'ES256', privateKey);
      },
      'no jwk': (url) => key.prove('POST', url, {}, { jwk: undefined }),
      'a jwk as text': (url) => key.prove('POST', url, {}, { jwk: 'x' }),
      'a private jwk': (url) =>
        key.prove('POST', url, {}, { jwk: key.privateKey.export({ format: 'jwk' }) as unknown as Json }),
      'a jwk off its curve': (url) => key.prove('POST', url, {}, { jwk: { ...key.jwk, y: key.jwk['x'] } }),
      'the jwk of somebody else': (url) => key.prove('POST', url, {}, { jwk: es256.jwk }),
      'an RSA key of 1024 bits': (url) => {
        const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
        const header = { typ: 'dpop+jwt', alg: 'RS256', jwk: publicKey.export({ format: 'jwk' }) };
        return signProof(header, { htm: 'POST', htu: url, iat: START_AT, jti: 'x' }, 'RS256', privateKey);
      },
      'a critical extension': (url) => key.prove('POST', url, {}, { crit: ['x'], x: 1 }),
      'a broken signature': (url) => `${key.prove('POST', url).slice(0, -8)}AAAAAAAA`,
      'no signature': (url) => `${key.prove('POST', url).split('.').slice(0, 2).join('.')}.`,
      'no jti': (url) => key.prove('POST', url, { jti: undefined }),
      'a long jti': (url) => key.prove('POST', url, { jti: 'x'.repeat(257) }),
      'a jti with a control character': (url) => key.prove('POST', url, { jti: 'a\nb' }),
      'a jti that is a number': (url) => key.prove('POST', url, { jti: 5 }),
      'no htm': (url) => key.prove('POST', url, { htm: undefined }),
      'htm in small letters': (url) => key.prove('post', url),
      'htm of another method': (url) => key.prove('GET', url),
      'no htu': (url) => key.prove('POST', url, { htu: undefined }),
      'htu of another host': () => key.prove('POST', 'https://elsewhere.example/oauth/token'),
      'htu with a user': () => key.prove('POST', 'https://a:b@idproxy.example/oauth/token'),
      'htu of another scheme': () => key.prove('POST', 'http://idproxy.example/oauth/token'),
      'htu of another path': () => key.prove('POST', 'https://idproxy.example/oauth/introspect'),
      'htu that is no URL': () => key.prove('POST', '/oauth/token'),
      'no iat': (url) => key.prove('POST', url, { iat: undefined }),
      'iat as text': (url) => key.prove('POST', url, { iat: String(START_AT) }),
      'iat in milliseconds': (url) => key.prove('POST', url, { iat: START_AT * 1000 }),
      'iat too old': (url) =>
        key.prove('POST', url, { iat: START_AT - DPOP_PROOF_LIFE_SECONDS - DPOP_CLOCK_TOLERANCE_SECONDS }),
      'iat too far ahead': (url) => key.prove('POST', url, { iat: START_AT + DPOP_CLOCK_TOLERANCE_SECONDS + 1 }),
    };
    test('proofs that are refused, each without using the assertion up', async () => {
      for (const [name, create] of Object.entries(BAD_PROOFS)) {
        const assertion = app.sign();
        const { status, body } = await ask(create(TOKEN_URL), assertion);
        assert.deepEqual([status, body.error], [400, 'invalid_dpop_proof'], `${name}: ${JSON.stringify(body)}`);
        assert.match(body.error_description, /^the DPoP proof /, name);
        assert.equal((await ask(key.prove('POST', TOKEN_URL), assertion)).status, 200, name);
      }
    });

    const GOOD_PROOFS: Readonly<Record<string, () => string>> = {
      'a query and a fragment': () => key.prove('POST', `${TOKEN_URL}?a=b#c`),
      'capitals and the default port': () => key.prove('POST', 'HTTPS://IDProxy.example:443/oauth/token'),
      'a percent-encoding that needs none': () => key.prove('POST', 'https://idproxy.example/%6fauth/token'),
      'just not too old': () =>
        key.prove('POST', TOKEN_URL, { iat: START_AT - DPOP_PROOF_LIFE_SECONDS - DPOP_CLOCK_TOLERANCE_SECONDS + 1 }),
      'just not too far ahead': () => key.prove('POST', TOKEN_URL, { iat: START_AT + DPOP_CLOCK_TOLERANCE_SECONDS }),
      'further members': () =>
        key.prove('POST', TOKEN_URL, { nonce: 'x', exp: 1 }, { kid: 'x', jku: 'https://x.example' }),
      ES384: () => createProofKey(() => START_AT, 'ES384').prove('POST', TOKEN_URL),
      ES512: () => createProofKey(() => START_AT, 'ES512').prove('POST', TOKEN_URL),
      EdDSA: () => createProofKey(() => START_AT, 'EdDSA').prove('POST', TOKEN_URL),
      RS256: () => createProofKey(() => START_AT, 'RS256').prove('POST', TOKEN_URL),
      PS256: () => createProofKey(() => START_AT, 'PS256').prove('POST', TOKEN_URL),
    };
    test('proofs that are taken', async () => {
      for (const [name, create] of Object.entries(GOOD_PROOFS)) {
        const { status, body } = await ask(create());
        assert.equal(status, 200, `${name}: ${JSON.stringify(body)}`);
        assert.equal(body.token_type, 'DPoP');
      }
    });

    test('a proof counts once, also of many at the same time, and its refusal uses no assertion up', async () => {
      const proof = key.prove('POST', TOKEN_URL);
      const assertions = Array.from({ length: 8 }, () => app.sign());
      const answers = await Promise.all(assertions.map((assertion) => ask(proof, assertion)));
      const granted = answers.filter(({ status }) => status === 200);
      assert.equal(granted.length, 1);
      for (const { status, body } of answers.filter((one) => !granted.includes(one)))
        assert.deepEqual([status, body.error_description], [400, 'the DPoP proof was used before']);
      const losers = assertions.filter((_, at) => answers[at]?.status !== 200);
      for (const assertion of losers) assert.equal((await ask(undefined, assertion)).status, 200);
    });

    test('a refused assertion uses no proof up', async () => {
      const proof = key.prove('POST', TOKEN_URL);
      const refused = await ask(proof, app.sign({ aud: 'https://elsewhere.example' }));
      assert.equal(refused.body.error, 'invalid_grant');
      assert.equal((await ask(proof)).status, 200);
    });

    test('one from the future is remembered until nobody could take it any more', async () => {
      const proof = key.prove('POST', TOKEN_URL, { iat: START_AT + DPOP_CLOCK_TOLERANCE_SECONDS });
      assert.equal((await ask(proof)).status, 200);
      const last = START_AT + DPOP_PROOF_LIFE_SECONDS + 2 * DPOP_CLOCK_TOLERANCE_SECONDS - 1;
      try {
        idproxy.clock.set(last);
        assert.equal((await ask(proof, app.sign())).body.error_description, 'the DPoP proof was used before');
        idproxy.clock.set(last + 1);
        assert.match((await ask(proof, app.sign())).body.error_description, /s old, at most/);
      } finally {
        idproxy.clock.set(START_AT);
      }
    });

    test('jti, key and URL are told apart', async () => {
      const other = createProofKey(() => START_AT);
      const jti = 'the same';
      assert.equal((await ask(key.prove('POST', TOKEN_URL, { jti }))).status, 200);
      assert.equal((await ask(other.prove('POST', TOKEN_URL, { jti }))).status, 200);
      assert.equal((await ask(key.prove('POST', `${TOKEN_URL}?x`, { jti }))).status, 400);
    });

    test('two fields are refused, though each be good', async () => {
      const proofs = [key.prove('POST', TOKEN_URL), key.prove('POST', TOKEN_URL)];
      const sent = request(`${idproxy.url}/oauth/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', dpop: proofs },
      });
      sent.end(JSON.stringify({ grant_type: JWT_BEARER, assertion: app.sign() }));
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      assert.equal(answer.statusCode, 400);
      assert.match(await text(answer), /is there more than once/);
    });

    test('an app that needs proofs refuses whatever has none', async () => {
      const strict = await idproxy.register({ algorithm: 'HS256', requireDpop: true });
      for (const path of ['/authorize', '/api/oAuth/token/jwtgrant', '/api/1.1/oAuth/token/jwtgrant']) {
        const assertion = strict.sign();
        const { status, body } = await idproxy.post(path, { assertion }, { dpop: key.prove('POST', URL_OF(path)) });
        assert.equal(status, 401);
        assert.match(body.errors[0].msg, /needs a DPoP proof, which only the token endpoint takes/);
        assert.equal((await ask(key.prove('POST', TOKEN_URL), assertion)).status, 200);
      }
      const { status, body } = await ask(undefined, strict.sign());
      assert.deepEqual([status, body.error], [400, 'invalid_dpop_proof']);
    });

    test('within the reuse window the same key gets the same bearer; another one, or none, is a replay', async () => {
      const patient = await idproxy.register({ algorithm: 'HS256', reuseWindowSeconds: 60 });
      const assertion = patient.sign();
      const first = await ask(key.prove('POST', TOKEN_URL), assertion);
      const again = await ask(key.prove('POST', TOKEN_URL), assertion);
      assert.equal(again.body.access_token, first.body.access_token);
      assert.equal(again.body.token_type, 'DPoP');
      const other = createProofKey(() => START_AT);
      for (const proof of [undefined, other.prove('POST', TOKEN_URL)]) {
        const { status, body } = await ask(proof, assertion);
        assert.deepEqual([status, body.error], [400, 'invalid_grant']);
        assert.match(body.error_description, /possibly a replay/);
      }
      const unbound = patient.sign();
      assert.equal((await ask(undefined, unbound)).status, 200);
      assert.match((await ask(key.prove('POST', TOKEN_URL), unbound)).body.error_description, /possibly a replay/);
    });

    test('a bound bearer proves an identity to merge only together with its key', async () => {
      const merging = await idproxy.register({
        algorithm: 'HS256',
        allowAnonymous: true,
        merge: { requireProof: true },
      });
      const visit = async (sub: string) =>
        (await ask(key.prove('POST', TOKEN_URL), merging.sign({ sub, isAnonymous: true }))).body.access_token;
      const token = await visit('v1');
      const other = createProofKey(() => START_AT);
      for (const proof of [undefined, other.prove('POST', TOKEN_URL)]) {
        const assertion = merging.sign({ sub: 'bob', identityToMerge: 'v1' });
        const { status, body } = await ask(proof, assertion, { identity_to_merge_token: token });
        assert.equal(status, 400, JSON.stringify(body));
        assert.match(body.error_description, /needs the bearer of that identity/);
      }
      const assertion = merging.sign({ sub: 'bob', identityToMerge: 'v1' });
      const merged = await ask(key.prove('POST', TOKEN_URL), assertion, { identity_to_merge_token: token });
      assert.equal(merged.status, 200, JSON.stringify(merged.body));
    });

    test('whoever holds it may end it', async () => {
      const token = await getBound();
      const { status } = await idproxy.post('/oauth/revoke', { token }, { authorization: `DPoP ${token}` });
      assert.equal(status, 200);
      assert.equal((await use(USERINFO, `DPoP ${token}`, proveUse(USERINFO, token))).status, 401);
    });

    test('a disabled app uses no proof up', async () => {
      const brief = await idproxy.register({ algorithm: 'HS256' });
      const token = await getBound(brief);
      const proof = proveUse(USERINFO, token);
      await idproxy.admin('PATCH', `/admin/apps/${brief.clientId}`, { enabled: false });
      assert.equal((await use(USERINFO, `DPoP ${token}`, proof)).status, 403);
      await idproxy.admin('PATCH', `/admin/apps/${brief.clientId}`, { enabled: true });
      assert.equal((await use(USERINFO, `DPoP ${token}`, proof)).status, 200);
    });

    test('the store keeps the binding, in a form that a version without it refuses', async () => {
      const token = await getBound();
      const found = await idproxy.store.sessions.find(
        token.slice(9, 13),
        createHash('sha256').update(token).digest('base64url'),
      );
      assert.equal(parseSessionBody(found?.body ?? '').jkt, key.jkt);
      const third = (JSON.parse(found?.body ?? '[]') as unknown[])[2];
      assert.ok(third !== undefined && typeof third !== 'string');
    });

    test('while it is not known whether a proof is new, nothing is granted and nothing is used up', async (t) => {
      const { claims } = idproxy.store;
      const { claim } = claims;
      const assertion = app.sign();
      const proof = key.prove('POST', TOKEN_URL);
      const token = await getBound();
      const use1 = proveUse(USERINFO, token);
      t.after(() => Object.assign(claims, { claim }));
      Object.assign(claims, { claim: () => Promise.reject(new AppError('store_unavailable')) });
      assert.deepEqual(
        [(await ask(proof, assertion)).status, (await use(USERINFO, `DPoP ${token}`, use1)).status],
        [503, 503],
      );
      assert.equal((await ask(undefined)).status, 200, 'who shows no proof does not need it');
      Object.assign(claims, { claim });
      assert.deepEqual(
        [(await ask(proof, assertion)).status, (await use(USERINFO, `DPoP ${token}`, use1)).status],
        [200, 200],
      );
    });

    test('pages of other origins may send the header, and the metadata names the algorithms', async () => {
      const preflight = await fetch(`${idproxy.url}/oauth/token`, {
        method: 'OPTIONS',
        headers: {
          origin: 'https://page.example',
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'dpop',
        },
      });
      assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /\bdpop\b/);
      const { body } = await idproxy.request('/.well-known/oauth-authorization-server');
      assert.ok(body.dpop_signing_alg_values_supported.includes('ES256'));
      assert.ok(!body.dpop_signing_alg_values_supported.some((alg: string) => alg.startsWith('HS') || alg === 'none'));
    });
  });
}
