import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { createRsaPair, type Json, signToken } from '../../support/assertions.ts';
import { createProofKey } from '../../support/dpop.ts';
import { encryptText } from '../../support/encrypt.ts';
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
const OURS = 'https://idproxy.example';
const IDP = 'https://acme.idp.example/';
const ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` };

for (const [backend, open] of Object.entries(BACKENDS)) {
  describe(`ID-JAG on ${backend}`, () => {
    let idproxy: IdproxyUnderTest;
    let app: AppUnderTest;
    let off: AppUnderTest;
    let jti = 0;

    before(async () => {
      idproxy = await startIdproxyUnderTest(open);
      app = await idproxy.register({ algorithm: 'RS256', idJag: { issuer: IDP } });
      off = await idproxy.register({ algorithm: 'RS256' });
    });
    after(() => idproxy.close());

    const toClaims = (of: AppUnderTest, changes: Json = {}): Json => ({
      iss: IDP,
      sub: 'U019488227',
      aud: OURS,
      client_id: of.clientId,
      jti: `jag-${++jti}`,
      iat: START_AT,
      exp: START_AT + 300,
      ...changes,
    });
    const sign = (changes: Json = {}, header: Json = {}, of = app): string =>
      signToken({ alg: of.algorithm, typ: 'oauth-id-jag+jwt', ...header }, toClaims(of, changes), of.algorithm, of.key);
    const ask = (assertion: string, headers = {}): Promise<Answer> =>
      idproxy.post('/oauth/token', { grant_type: JWT_BEARER, assertion }, headers);
    const introspect = async (token: string): Promise<Json> =>
      (await idproxy.post('/oauth/introspect', { token }, ADMIN)).body;

    test('it gets a bearer for its user', async () => {
      const { status, body } = await ask(sign());
      assert.equal(status, 200, JSON.stringify(body));
      const { sub, client_id: clientId, is_anonymous: isAnonymous } = await introspect(body.access_token);
      assert.deepEqual([sub, clientId, isAnonymous], ['U019488227', app.clientId, false]);
    });

    const GOOD: Readonly<Record<string, readonly [Json, Json]>> = {
      'an audience in a list of one': [{ aud: [OURS] }, {}],
      'typ in other letters': [{}, { typ: 'OAuth-ID-JAG+JWT' }],
      'our resource': [{ resource: OURS }, {}],
      'our resource among others': [{ resource: ['https://x.example', OURS] }, {}],
      'claims about the sign-in': [
        { auth_time: START_AT, amr: ['mfa'], acr: 'x', aud_sub: 'y', act: { sub: 'z' } },
        {},
      ],
      'a start in the past': [{ nbf: START_AT - 5 }, {}],
    };
    test('forms of it that are taken', async () => {
      for (const [name, [changes, header]] of Object.entries(GOOD)) {
        const { status, body } = await ask(sign(changes, header));
        assert.equal(status, 200, `${name}: ${JSON.stringify(body)}`);
      }
    });

    const BAD: Readonly<Record<string, readonly [Json, string, RegExp]>> = {
      'no issuer': [{ iss: undefined }, 'invalid_grant', /'iss' is missing/],
      'another issuer': [{ iss: 'https://other.idp.example/' }, 'invalid_grant', /'iss' is not the identity provider/],
      'the issuer without its slash': [{ iss: IDP.slice(0, -1) }, 'invalid_grant', /'iss' is not/],
      'the issuer by another name': [{ iss: 'x', kore_iss: IDP }, 'invalid_grant', /'iss' is not/],
      'no audience': [{ aud: undefined }, 'invalid_grant', /'aud' is missing/],
      "an assertion's audience": [{ aud: 'https://idproxy.kore.com/authorize' }, 'invalid_grant', /'aud'/],
      'our token endpoint as audience': [{ aud: `${OURS}/oauth/token` }, 'invalid_grant', /'aud'/],
      'our URL with a slash': [{ aud: `${OURS}/` }, 'invalid_grant', /'aud'/],
      'two audiences': [{ aud: [OURS, 'https://x.example'] }, 'invalid_grant', /'aud'/],
      'no client': [{ client_id: undefined }, 'invalid_grant', /'client_id' is missing/],
      'a client that is a number': [{ client_id: 5 }, 'invalid_grant', /'client_id'/],
      'a client that is not known': [{ client_id: 'cs-nobody' }, 'invalid_grant', /not signed/],
      'the client as issuer alone': [
        { client_id: undefined, kore_iss: 'x' },
        'invalid_grant',
        /'client_id' is missing/,
      ],
      'no jti': [{ jti: undefined }, 'invalid_grant', /'jti' is missing/],
      'an empty jti': [{ jti: '' }, 'invalid_grant', /'jti'/],
      'a jti by another name': [{ jti: undefined, kore_jti: 'x' }, 'invalid_grant', /'jti' is missing/],
      'no sub': [{ sub: undefined }, 'invalid_grant', /'sub' is missing/],
      'a sub by another name': [{ sub: undefined, kore_sub: 'x' }, 'invalid_grant', /'sub' is missing/],
      'no exp': [{ exp: undefined }, 'invalid_grant', /'exp' is missing/],
      'no iat': [{ iat: undefined }, 'invalid_grant', /'iat' is missing/],
      expired: [{ exp: START_AT - 20 }, 'invalid_grant', /'exp' is in the past/],
      'from the future': [{ iat: START_AT + 60 }, 'invalid_grant', /'iat' is in the future/],
      'too long a life': [{ exp: START_AT + 4_000 }, 'invalid_grant', /1 hour/],
      'another resource': [{ resource: 'https://x.example' }, 'invalid_target', /this platform/],
      'a resource that is none': [{ resource: 5 }, 'invalid_target', /this platform/],
      'one tenant of many': [{ tenant: 't1' }, 'invalid_grant', /'tenant'/],
      'details of what is granted': [{ authorization_details: [] }, 'invalid_grant', /'authorization_details'/],
      'bound to a certificate': [{ cnf: { 'x5t#S256': 'x' } }, 'invalid_grant', /'cnf'/],
      'bound to nothing': [{ cnf: {} }, 'invalid_grant', /'cnf.jkt' is missing/],
      'a confirmation that is a text': [{ cnf: 'x' }, 'invalid_grant', /'cnf'/],
      'an email that is none': [{ email: 5 }, 'invalid_grant', /'email'/],
    };
    test('claims that are refused', async () => {
      for (const [name, [changes, error, description]] of Object.entries(BAD)) {
        const { status, body } = await ask(sign(changes));
        assert.deepEqual([status, body.error], [400, error], `${name}: ${JSON.stringify(body)}`);
        assert.match(body.error_description, description, name);
      }
    });

    test('signatures that are refused', async () => {
      const cases: Readonly<Record<string, string>> = {
        'by another key': signToken(
          { alg: 'RS256', typ: 'oauth-id-jag+jwt' },
          toClaims(app),
          'RS256',
          createRsaPair().privateKey,
        ),
        'by another algorithm': signToken({ alg: 'RS512', typ: 'oauth-id-jag+jwt' }, toClaims(app), 'RS512', app.key),
        'by the key of another client': sign({ client_id: app.clientId }, {}, off),
        'with a critical extension': sign({}, { crit: ['x'], x: 1 }),
      };
      for (const [name, assertion] of Object.entries(cases)) {
        const { status, body } = await ask(assertion);
        assert.deepEqual([status, body.error], [400, 'invalid_grant'], name);
      }
    });

    test('it counts once, also of many at the same time', async () => {
      const assertion = sign();
      const answers = await Promise.all(Array.from({ length: 6 }, () => ask(assertion)));
      assert.equal(answers.filter(({ status }) => status === 200).length, 1);
      assert.match((await ask(assertion)).body.error_description, /possibly a replay/);
    });

    test('a client that did not switch it on takes none, nor does one that switched it off', async () => {
      const { status, body } = await ask(sign({}, {}, off));
      assert.deepEqual([status, body.error], [400, 'invalid_grant']);
      assert.match(body.error_description, /'typ'/);
      const brief = await idproxy.register({ algorithm: 'RS256', idJag: { issuer: IDP } });
      assert.equal((await ask(sign({}, {}, brief))).status, 200);
      assert.equal((await idproxy.admin('PATCH', `/admin/apps/${brief.clientId}`, { idJag: null })).status, 200);
      assert.equal((await ask(sign({}, {}, brief))).status, 400);
    });

    test('a secret verifies none: who can verify with it could have signed', async () => {
      const shared = await idproxy.register({ algorithm: 'HS256', idJag: { issuer: IDP } });
      const { status, body } = await ask(sign({}, {}, shared));
      assert.deepEqual([status, body.error], [400, 'invalid_grant']);
    });

    test('it is no plain JWT, and a plain JWT is none', async () => {
      for (const typ of ['JWT', undefined]) assert.equal((await ask(sign({}, { typ }))).status, 400, typ);
      const asJwt = sign({ iss: app.clientId, aud: 'https://idproxy.kore.com/authorize' }, { typ: 'JWT' });
      assert.equal((await ask(asJwt)).status, 200, 'the same key signs the assertions of its app');
      assert.equal((await ask(app.sign({}, { alg: 'RS256', typ: 'oauth-id-jag+jwt' }))).status, 400);
    });

    test('it is taken by the jwt-bearer grant of /oauth/token alone', async () => {
      for (const path of ['/authorize', '/api/oAuth/token/jwtgrant', '/api/1.1/oAuth/token/jwtgrant']) {
        const assertion = sign();
        const { status, body } = await idproxy.post(path, { assertion });
        assert.equal(status, 401, path);
        assert.match(body.errors[0].msg, /exchanged at \/oauth\/token, by the jwt-bearer grant/);
        assert.equal((await ask(assertion)).status, 200, 'it is not used up');
      }
      const exchanged = await idproxy.post('/oauth/token', {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: sign(),
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      });
      assert.deepEqual([exchanged.status, exchanged.body.error], [400, 'invalid_request']);
    });

    test('it is no bearer', async () => {
      const { status } = await idproxy.request('/api/1.1/userinfo', { headers: { authorization: `Bearer ${sign()}` } });
      assert.equal(status, 401);
      assert.deepEqual(await introspect(sign()), { active: false });
    });

    test('members under which other assertions say something mean nothing', async () => {
      const { status, body } = await ask(
        sign({
          kore_sub: 'mallory',
          kore_jti: 'x',
          isAnonymous: true,
          identityToMerge: 'bob',
          privateClaims: { a: 1 },
        }),
      );
      assert.equal(status, 200, JSON.stringify(body));
      const seen = await introspect(body.access_token);
      assert.deepEqual([seen['sub'], seen['is_anonymous']], ['U019488227', false]);
      assert.deepEqual((seen['user_context'] as Json)['privateClaims'], {});
    });

    test('the bot may see the address and the scope, as signed data', async () => {
      const { body } = await ask(sign({ email: 'alice@acme.example', scope: 'chat.read' }));
      const context = (await introspect(body.access_token))['user_context'] as Json;
      assert.deepEqual(context['privateClaims'], { email: 'alice@acme.example', scope: 'chat.read' });
      assert.equal(body.scope, undefined);
    });

    test('one that is bound to a key needs a proof by it', async () => {
      const key = createProofKey(() => START_AT);
      const other = createProofKey(() => START_AT);
      const assertion = sign({ cnf: { jkt: key.jkt } });
      const prove = (by: typeof key) => ({ dpop: by.prove('POST', `${OURS}/oauth/token`) });
      const { body: unproven } = await ask(assertion);
      assert.equal(unproven.error, 'invalid_dpop_proof');
      assert.match(unproven.error_description, /^this needs a DPoP proof/);
      assert.match((await ask(assertion, prove(other))).body.error_description, /another key/);
      const { status, body } = await ask(assertion, prove(key));
      assert.deepEqual([status, body.token_type], [200, 'DPoP']);
    });

    test('encrypted, it is the same', async () => {
      const { keys } = (await idproxy.request('/.well-known/jwks.json')).body;
      const header = { kid: keys[0].kid, typ: 'JWT', cty: 'JWT' };
      assert.equal((await ask(await encryptText(sign(), keys[0], header))).status, 200);
    });

    test('registrations that are refused', async () => {
      for (const idJag of [{}, { issuer: 'x' }, { issuer: '' }, { issuer: IDP, extra: 1 }, 'x', true]) {
        const { status } = await idproxy.admin('PATCH', `/admin/apps/${off.clientId}`, { idJag });
        assert.equal(status, 400, JSON.stringify(idJag));
      }
    });

    test('the metadata says that identity assertions are known, and not whose', async () => {
      const { body } = await idproxy.request('/.well-known/oauth-authorization-server');
      assert.deepEqual(body.authorization_grant_profiles_supported, ['urn:ietf:params:oauth:grant-profile:id-jag']);
      assert.ok(!JSON.stringify(body).includes('acme'));
    });
  });
}
