import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';

import { createPlatformKeys } from '../../../src/apps/platform-keys.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { parseSessionId } from '../../../src/idproxy/session.ts';
import { createEchoBot } from '../../../src/sessions/bots/echo-bot.ts';
import { createRsaPair, type Json, signToken } from '../../support/assertions.ts';
import { createProofKey, toAth } from '../../support/dpop.ts';
import { SIGNERS } from '../../support/implementations.ts';
import {
  ADMIN_TOKEN,
  type Answer,
  type AppUnderTest,
  BACKENDS,
  type IdproxyUnderTest,
  START_AT,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';

const ISSUER = 'https://idproxy.example';
const TOKEN_URL = `${ISSUER}/oauth/token`;
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` };
const USERINFO = '/api/1.1/userinfo';

for (const [backend, open] of Object.entries(BACKENDS)) {
  describe(`access tokens that are JWTs, on ${backend}`, () => {
    let idproxy: IdproxyUnderTest;
    let app: AppUnderTest;

    before(async () => {
      idproxy = await startIdproxyUnderTest(open, { bot: createEchoBot() });
      app = await idproxy.register({ algorithm: 'HS256', accessTokenFormat: 'jwt' });
    });
    after(() => idproxy.close());

    const ask = (assertion: string, headers = {}): Promise<Answer> =>
      idproxy.post('/oauth/token', { grant_type: JWT_BEARER, assertion }, headers);
    const getToken = async (from = app, changes: Json = {}): Promise<string> =>
      (await ask(from.sign(changes))).body.access_token;
    const use = (token: string, scheme = 'Bearer', headers = {}): Promise<Answer> =>
      idproxy.request(USERINFO, { headers: { authorization: `${scheme} ${token}`, ...headers } });
    const introspect = async (token: string): Promise<Json> =>
      (await idproxy.post('/oauth/introspect', { token }, ADMIN)).body;
    const readJwks = async () => (await idproxy.request('/.well-known/jwks.json')).body;

    test('they say what RFC 9068 asks for, and nothing of the user but an id', async () => {
      const token = await getToken(app, { privateClaims: { tier: 'gold' }, secureCustomData: { a: 1 } });
      const { kid, ...header } = decodeProtectedHeader(token);
      assert.deepEqual(header, { alg: 'RS256', typ: 'at+jwt' });
      assert.match(kid ?? '', /./);
      const { sub, jti, ...claims } = decodeJwt(token);
      const { body: user } = await use(token);
      assert.equal(sub, user.userId);
      assert.deepEqual(claims, {
        iss: ISSUER,
        aud: ISSUER,
        client_id: app.clientId,
        iat: START_AT,
        exp: START_AT + 3600,
      });
      assert.equal(jti, (await introspect(token))['session_id']);
    });

    test('others verify them with the JWKS alone', async () => {
      const now = Math.floor(systemClock.nowSeconds());
      idproxy.clock.set(now);
      try {
        const token = await getToken(app);
        const jwks = await readJwks();
        const expected = { issuer: ISSUER, audience: ISSUER, typ: 'at+jwt', algorithms: ['RS256'] };
        const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), expected);
        assert.equal(payload['client_id'], app.clientId);
        const { kid } = decodeProtectedHeader(token);
        const jwk = jwks.keys.find((one: Json) => one['kid'] === kid);
        assert.equal(jwk.use, 'sig');
        const key = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }) as string;
        for (const [name, signer] of Object.entries(SIGNERS)) {
          const claims = await signer.verify({ alg: 'RS256', key, token, audience: ISSUER });
          assert.equal(claims?.['jti'], payload.jti, name);
          const broken = `${token.slice(0, -8)}AAAAAAAA`;
          assert.equal(await signer.verify({ alg: 'RS256', key, token: broken, audience: ISSUER }), undefined, name);
        }
      } finally {
        idproxy.clock.set(START_AT);
      }
    });

    test('every route that exchanges gives one, and every route that takes a bearer takes it', async () => {
      const { access_token: fromAuthorize } = (await idproxy.authorize(app.sign())).body;
      const granted = await idproxy.post('/api/1.1/oAuth/token/jwtgrant', { assertion: app.sign() });
      for (const token of [fromAuthorize, granted.body.authorization.accessToken, await getToken()]) {
        assert.match(token, /^eyJ/);
        assert.equal((await use(token)).status, 200);
        const headers = { 'content-type': 'application/json', authorization: `bearer ${token}` };
        const started = await idproxy.request('/api/rtm/start', { method: 'POST', headers, body: '{}' });
        assert.equal(started.status, 200);
        const seen = await introspect(token);
        assert.deepEqual([seen['active'], seen['token_type'], seen['sub']], [true, 'Bearer', 'alice@example.com']);
      }
    });

    test('revoked, it is none at once, whoever ends it', async () => {
      const [mine, theirs] = [await getToken(), await getToken()];
      assert.equal(
        (await idproxy.post('/oauth/revoke', { token: mine }, { authorization: `Bearer ${mine}` })).status,
        200,
      );
      assert.equal((await idproxy.post('/oauth/revoke', { token: theirs }, ADMIN)).status, 200);
      for (const token of [mine, theirs]) {
        const { status, body, headers } = await use(token);
        assert.deepEqual([status, body.errors[0].msg], [401, 'the bearer token is expired or unknown']);
        assert.match(headers.get('www-authenticate') ?? '', /^Bearer .*invalid_token/);
        assert.deepEqual(await introspect(token), { active: false });
      }
    });

    test('it ends with its life, and with its user', async () => {
      const token = await getToken();
      idproxy.clock.set(START_AT + 3600);
      try {
        assert.equal((await use(token)).status, 401);
      } finally {
        idproxy.clock.set(START_AT);
      }
      const erased = await getToken(app, { sub: 'gone' });
      await idproxy.admin('DELETE', `/admin/identities/${decodeJwt(erased).sub}`);
      assert.equal((await use(erased)).status, 401);
    });

    test('within the reuse window the same session gets an equal token', async () => {
      const patient = await idproxy.register({ algorithm: 'HS256', accessTokenFormat: 'jwt', reuseWindowSeconds: 60 });
      const assertion = patient.sign();
      const first = await ask(assertion);
      idproxy.clock.set(START_AT + 30);
      try {
        const again = await ask(assertion);
        assert.equal(again.body.access_token, first.body.access_token);
        assert.equal(again.body.expires_in, 3570);
      } finally {
        idproxy.clock.set(START_AT);
      }
    });

    test('bound to a key it says so, and is one with a proof alone', async () => {
      const key = createProofKey(() => START_AT);
      const { body } = await ask(app.sign(), { dpop: key.prove('POST', TOKEN_URL) });
      const token = body.access_token as string;
      assert.equal(body.token_type, 'DPoP');
      assert.deepEqual(decodeJwt(token)['cnf'], { jkt: key.jkt });
      assert.deepEqual((await introspect(token))['cnf'], { jkt: key.jkt });
      const proof = (): string => key.prove('GET', ISSUER + USERINFO, { ath: toAth(token) });
      assert.equal((await use(token, 'DPoP', { dpop: proof() })).status, 200);
      assert.equal((await use(token, 'Bearer', { dpop: proof() })).status, 401);
      assert.equal((await use(token)).status, 401);
      assert.equal((await use(token, 'DPoP')).status, 401);
    });

    test('it proves an identity to merge, as an opaque one does', async () => {
      const settings = { accessTokenFormat: 'jwt', allowAnonymous: true, merge: { requireProof: true } };
      const merging = await idproxy.register({ algorithm: 'HS256', ...settings });
      const visitor = await getToken(merging, { sub: 'v1', isAnonymous: true });
      const key = createProofKey(() => START_AT);
      const bound = await ask(merging.sign({ sub: 'v1', isAnonymous: true }), { dpop: key.prove('POST', TOKEN_URL) });
      const present = (token: string): Promise<Answer> =>
        idproxy.post('/authorize', {
          assertion: merging.sign({ sub: 'bob', identityToMerge: 'v1' }),
          identity_to_merge_token: token,
        });
      assert.equal((await present(await getToken())).status, 401);
      assert.equal((await present(bound.body.access_token)).status, 401, 'without its key it proves nothing');
      assert.equal((await present(visitor)).status, 200);
    });

    test('what else looks like one is none', async () => {
      const token = await getToken();
      const claims = decodeJwt(token) as Json;
      const header = decodeProtectedHeader(token) as Json;
      const { privateKey } = createRsaPair();
      const { keys } = await readJwks();
      const modulus = keys.find((one: Json) => one['kid'] === header['kid']).n as string;
      const parts = token.split('.');
      const { sign: signing, close } = await createForger(idproxy);
      const cases: Readonly<Record<string, string>> = {
        'an assertion of its app': app.sign(),
        'an assertion with its claims': signToken({ alg: 'HS256', typ: 'at+jwt' }, claims, 'HS256', app.key),
        'signed by somebody else under its kid': signToken(header, claims, 'RS256', privateKey),
        'signed by somebody else without a kid': signToken(
          { alg: 'RS256', typ: 'at+jwt' },
          claims,
          'RS256',
          privateKey,
        ),
        'with a key of its own in the header': signToken(
          { ...header, jwk: { kty: 'RSA', n: modulus, e: 'AQAB' } },
          claims,
          'RS256',
          privateKey,
        ),
        'the public key as a secret': signToken({ ...header, alg: 'HS256' }, claims, 'HS256', modulus),
        'alg none': `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${parts[1]}.`,
        'no signature': `${parts[0]}.${parts[1]}.`,
        'another session': `${parts[0]}.${Buffer.from(JSON.stringify({ ...claims, jti: 'x' })).toString('base64url')}.${parts[2]}`,
        'of the platform, but typ JWT': await signing('JWT', claims),
        'of the platform, but typ AT+JWT': await signing('AT+JWT', claims),
        'of the platform, without a jti': await signing('at+jwt', { ...claims, jti: undefined }),
        'of the platform, with a jti that is none': await signing('at+jwt', { ...claims, jti: 'x' }),
        'of the platform, for no session': await signing('at+jwt', { ...claims, jti: `0000.${'a'.repeat(43)}` }),
      };
      for (const [name, text] of Object.entries(cases)) {
        assert.equal((await use(text)).status, 401, name);
        assert.deepEqual(await introspect(text), { active: false }, name);
      }
      close();
      // The name of a session, which introspection tells, opens nothing.
      assert.equal((await use(String(claims['jti']))).status, 401);
      assert.ok(parseSessionId(String(claims['jti'])));
    });

    test('nor is one an assertion, or the token of a socket', async () => {
      const token = await getToken();
      for (const path of ['/authorize', '/oauth/token']) {
        const { status, body } = await idproxy.post(path, { grant_type: JWT_BEARER, assertion: token });
        assert.ok(status === 401 || status === 400, path);
        assert.match(JSON.stringify(body), /\\?.typ\\?. is not/, path);
      }
    });

    test('who has opaque tokens gets none', async () => {
      const opaque = await idproxy.register({ algorithm: 'HS256' });
      assert.match(await getToken(opaque), /^cs1_/);
    });
  });
}

/** Signs what the platform never signs, with its own key. */
async function createForger({ store, vault, clock }: IdproxyUnderTest) {
  const keys = createPlatformKeys({ documents: store.documents, vault, clock });
  const { signing } = await keys.keyring();
  return { sign: (typ: string, claims: Json): Promise<string> => signing.sign(typ, claims), close: () => keys.close() };
}
