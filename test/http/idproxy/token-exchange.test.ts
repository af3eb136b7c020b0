import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import type { Json } from '../../support/assertions.ts';
import { createProofKey } from '../../support/dpop.ts';
import {
  type Answer,
  type AppUnderTest,
  BACKENDS,
  type IdproxyUnderTest,
  START_AT,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const TYPE = (name: string): string => `urn:ietf:params:oauth:token-type:${name}`;
const ISSUER = 'https://idproxy.example';

for (const [backend, open] of Object.entries(BACKENDS)) {
  describe(`token exchange on ${backend}`, () => {
    let idproxy: IdproxyUnderTest;
    let app: AppUnderTest;
    let jwtApp: AppUnderTest;

    before(async () => {
      idproxy = await startIdproxyUnderTest(open);
      app = await idproxy.register({ algorithm: 'HS256' });
      jwtApp = await idproxy.register({ algorithm: 'HS256', accessTokenFormat: 'jwt' });
    });
    after(() => idproxy.close());

    const toBody = (subjectToken: string, changes: Json = {}): Json => ({
      grant_type: GRANT,
      subject_token: subjectToken,
      subject_token_type: TYPE('jwt'),
      ...changes,
    });
    const ask = (subjectToken: string, changes: Json = {}, headers = {}): Promise<Answer> =>
      idproxy.post('/oauth/token', toBody(subjectToken, changes), headers);

    const GOOD: Readonly<Record<string, Json>> = {
      'the least': {},
      'an access token by name': { requested_token_type: TYPE('access_token') },
      'our own URL as resource': { resource: ISSUER },
      'our own URL as audience': { audience: ISSUER },
      'both, twice': { resource: [ISSUER, ISSUER], audience: [ISSUER] },
      'parameters without a value': {
        resource: '',
        audience: '',
        scope: '',
        requested_token_type: '',
        actor_token: '',
        actor_token_type: '',
      },
      'parameters that are not known': { client_id: 'x', foo: 'bar' },
    };
    test('an assertion as the subject token gets a bearer', async () => {
      for (const [name, changes] of Object.entries(GOOD)) {
        const { status, body, headers } = await ask(app.sign(), changes);
        assert.equal(status, 200, `${name}: ${JSON.stringify(body)}`);
        assert.match(body.access_token, /^cs1_[0-9a-f]{4}_/);
        assert.deepEqual(
          { ...body, access_token: '' },
          { access_token: '', issued_token_type: TYPE('access_token'), token_type: 'Bearer', expires_in: 3600 },
          name,
        );
        assert.equal(headers.get('cache-control'), 'no-store');
        const authorization = `Bearer ${body.access_token}`;
        assert.equal((await idproxy.request('/api/1.1/userinfo', { headers: { authorization } })).status, 200);
      }
    });

    test('a form does as well as JSON, with fields that come twice', async () => {
      const fields = new URLSearchParams(toBody(app.sign()) as Record<string, string>);
      for (const _ of [1, 2]) fields.append('resource', ISSUER);
      const { status, body } = await idproxy.request('/oauth/token', { method: 'POST', body: fields });
      assert.equal(status, 200, JSON.stringify(body));
    });

    test('a JWT is issued where the client has JWTs, and asked for by either name', async () => {
      for (const name of ['jwt', 'access_token']) {
        const { status, body } = await ask(jwtApp.sign(), { requested_token_type: TYPE(name) });
        assert.equal(status, 200);
        assert.match(body.access_token, /^eyJ/);
        assert.equal(body.issued_token_type, TYPE(name));
      }
    });

    const BAD: Readonly<Record<string, readonly [Json, string, RegExp]>> = {
      'no subject token': [{ subject_token: undefined }, 'invalid_request', /subject_token/],
      'an empty subject token': [{ subject_token: '' }, 'invalid_request', /subject_token/],
      'two subject tokens': [{ subject_token: ['a', 'b'] }, 'invalid_request', /subject_token/],
      'no type': [{ subject_token_type: undefined }, 'invalid_request', /subject_token_type/],
      'an access token as subject': [
        { subject_token_type: TYPE('access_token') },
        'invalid_request',
        /subject_token_type/,
      ],
      'an id token as subject': [{ subject_token_type: TYPE('id_token') }, 'invalid_request', /subject_token_type/],
      'an identity assertion as subject': [
        { subject_token_type: TYPE('id-jag') },
        'invalid_request',
        /subject_token_type/,
      ],
      'a SAML assertion as subject': [{ subject_token_type: TYPE('saml2') }, 'invalid_request', /subject_token_type/],
      'an actor': [{ actor_token: 'x', actor_token_type: TYPE('jwt') }, 'invalid_request', /actor_token/],
      'the type of an actor alone': [{ actor_token_type: TYPE('jwt') }, 'invalid_request', /actor_token/],
      'a refresh token asked for': [
        { requested_token_type: TYPE('refresh_token') },
        'invalid_request',
        /requested_token_type/,
      ],
      'an identity assertion asked for': [
        { requested_token_type: TYPE('id-jag') },
        'invalid_request',
        /requested_token_type/,
      ],
      'a JWT asked for where tokens are opaque': [{ requested_token_type: TYPE('jwt') }, 'invalid_request', /opaque/],
      'a prototype name asked for': [
        { requested_token_type: 'constructor' },
        'invalid_request',
        /requested_token_type/,
      ],
      'a scope': [{ scope: 'openid' }, 'invalid_scope', /scopes/],
      'another resource': [{ resource: 'https://elsewhere.example' }, 'invalid_target', /this platform alone/],
      'another resource beside ours': [{ resource: [ISSUER, 'https://x.example'] }, 'invalid_target', /this platform/],
      'ours with a slash': [{ resource: `${ISSUER}/` }, 'invalid_target', /this platform/],
      'another audience': [{ audience: 'somebody' }, 'invalid_target', /this platform/],
      'a resource that is an object': [{ resource: {} }, 'invalid_request', /resource/],
      'another grant': [
        { grant_type: 'urn:ietf:params:oauth:grant-type:saml2-bearer' },
        'unsupported_grant_type',
        /grant_type/,
      ],
      'the prototype as grant': [{ grant_type: '__proto__' }, 'unsupported_grant_type', /grant_type/],
      'an assertion beside the parameters of the other grant': [
        { grant_type: JWT_BEARER },
        'invalid_request',
        /assertion/,
      ],
    };
    test('requests that are refused, none of which uses the assertion up', async () => {
      for (const [name, [changes, error, description]] of Object.entries(BAD)) {
        const assertion = app.sign();
        const { status, body } = await ask(assertion, changes);
        assert.deepEqual([status, body.error], [400, error], `${name}: ${JSON.stringify(body)}`);
        assert.match(body.error_description, description, name);
        assert.doesNotMatch(body.error_description, /["\\]/, name);
        assert.equal((await ask(assertion)).status, 200, name);
      }
    });

    test('subject tokens that are refused are invalid requests (RFC 8693 §2.2.2)', async () => {
      const bearer = (await ask(app.sign())).body.access_token as string;
      const jwt = (await ask(jwtApp.sign())).body.access_token as string;
      const key = createProofKey(() => START_AT);
      const cases: Readonly<Record<string, readonly [string, RegExp]>> = {
        'a bearer': [bearer, /neither a JWS/],
        'an access token that is a JWT': [jwt, /typ/],
        'a DPoP proof': [key.prove('POST', `${ISSUER}/oauth/token`), /typ/],
        'of nobody': [app.sign({ iss: 'cs-nobody' }), /not signed/],
        'with a broken signature': [`${app.sign().slice(0, -8)}AAAAAAAA`, /not signed/],
        expired: [app.sign({ exp: START_AT - 60 }), /'exp' is in the past/],
        'for another audience': [app.sign({ aud: 'https://elsewhere.example' }), /'aud'/],
      };
      for (const [name, [token, description]] of Object.entries(cases)) {
        const { status, body } = await ask(token);
        assert.deepEqual([status, body.error], [400, 'invalid_request'], name);
        assert.match(body.error_description, description, name);
        const other = await idproxy.post('/oauth/token', { grant_type: JWT_BEARER, assertion: token });
        assert.deepEqual([other.status, other.body.error], [400, 'invalid_grant'], name);
      }
    });

    test('an assertion counts once, whichever grant it comes by', async () => {
      const first = app.sign();
      assert.equal((await ask(first)).status, 200);
      const again = await ask(first);
      assert.deepEqual([again.status, again.body.error], [400, 'invalid_request']);
      assert.match(again.body.error_description, /possibly a replay/);
      assert.equal((await idproxy.authorize(first)).status, 401);
      const second = app.sign();
      assert.equal((await idproxy.authorize(second)).status, 200);
      assert.equal((await ask(second)).status, 400);
      const third = app.sign();
      const both = await Promise.all([
        ...Array.from({ length: 4 }, () => ask(third)),
        ...Array.from({ length: 4 }, () => idproxy.authorize(third)),
      ]);
      assert.equal(both.filter(({ status }) => status === 200).length, 1);
    });

    test('with a proof the bearer is bound', async () => {
      const key = createProofKey(() => START_AT);
      const { status, body } = await ask(app.sign(), {}, { dpop: key.prove('POST', `${ISSUER}/oauth/token`) });
      assert.deepEqual([status, body.token_type], [200, 'DPoP']);
    });

    test('identities are merged as elsewhere', async () => {
      const merging = await idproxy.register({
        algorithm: 'HS256',
        allowAnonymous: true,
        merge: { requireProof: true },
      });
      const visitor = (await ask(merging.sign({ sub: 'v1', isAnonymous: true }))).body.access_token as string;
      const merge = (more: Json): Promise<Answer> => ask(merging.sign({ sub: 'bob', identityToMerge: 'v1' }), more);
      assert.equal((await merge({})).status, 400);
      assert.equal((await merge({ identity_to_merge_token: visitor })).status, 200);
    });

    test('the metadata names the grants', async () => {
      const { body } = await idproxy.request('/.well-known/oauth-authorization-server');
      assert.deepEqual(body.grant_types_supported, [JWT_BEARER, GRANT]);
    });
  });
}
