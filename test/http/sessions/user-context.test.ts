import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import { createUserContexts } from '../../../src/idproxy/user-context.ts';
import { createVault } from '../../../src/vault/vault.ts';
import type { Json } from '../../support/assertions.ts';
import { ADMIN_TOKEN, type Answer, type IdproxyUnderTest, seedsError } from '../../support/idproxy-under-test.ts';
import { encryptText } from '../../support/encrypt.ts';
import { present, SHARED_BACKENDS, signIn, startIdproxy } from './users-under-test.ts';

const CONTEXT_KEY = 'csk_the-context-key-of-the-tests';
const PLAIN_KEY = 'csk_the-introspection-key-of-the-tests';
const toLine = (key: string): string => `tests:${createHash('sha256').update(key).digest('hex')}`;
const KEYS = { introspectionKeys: toLine(PLAIN_KEY), contextKeys: toLine(CONTEXT_KEY) };
const EMPTY = { privateClaims: {}, secureCustomData: {}, customData: {} };
/** Stands in values that nobody may see but those who may. */
const MARK = 'plaintext-of-the-tests';

/** An exchange for an identity that is there already. */
const OVERWRITING = {
  isKept: true,
  body: '["alice",0]',
  incarnation: 'i',
  conversation: 'c',
  mayCreate: false,
  activeMs: 60_000,
};

const asBearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

const introspect = (idproxy: IdproxyUnderTest, token: string, key = ADMIN_TOKEN): Promise<Answer> =>
  idproxy.post('/oauth/introspect', { token }, asBearer(key));

const readContext = (idproxy: IdproxyUnderTest, sessionId: string, key = ADMIN_TOKEN): Promise<Answer> =>
  idproxy.request(`/api/1.1/session/context?sessionId=${encodeURIComponent(sessionId)}`, { headers: asBearer(key) });

/** What is known of a bearer's user, on both ways; they say the same. */
async function readKnown(idproxy: IdproxyUnderTest, bearer: string): Promise<Json> {
  const { body } = await introspect(idproxy, bearer);
  const { status, body: context } = await readContext(idproxy, body.session_id);
  assert.equal(status, 200, JSON.stringify(context));
  assert.deepEqual(context, { context: { session: { UserContext: body.user_context } } });
  return body.user_context;
}

/** Claims, and what the context holds of them. */
const CLAIMS: Readonly<Record<string, { claims: Json; known: Json }>> = {
  privateClaims: { claims: { privateClaims: { tier: 'gold' } }, known: { privateClaims: { tier: 'gold' } } },
  PrivateClaims: { claims: { PrivateClaims: { tier: 'gold' } }, known: { privateClaims: { tier: 'gold' } } },
  secureCustomData: { claims: { secureCustomData: { a: [1] } }, known: { secureCustomData: { a: [1] } } },
  SecureCustomData: { claims: { SecureCustomData: { a: [1] } }, known: { secureCustomData: { a: [1] } } },
  both: {
    claims: { privateClaims: { a: 1 }, SecureCustomData: { b: { c: null } } },
    known: { privateClaims: { a: 1 }, secureCustomData: { b: { c: null } } },
  },
  'odd names': {
    claims: { privateClaims: JSON.parse('{"__proto__":{"a":1},"constructor":2,"":3,"é😀":"\\u0000"}') as Json },
    known: { privateClaims: JSON.parse('{"__proto__":{"a":1},"constructor":2,"":3,"é😀":"\\u0000"}') as Json },
  },
  'customData as a claim, which is none': { claims: { customData: { a: 1 } }, known: {} },
  empty: { claims: { privateClaims: {}, secureCustomData: {} }, known: {} },
  nothing: { claims: {}, known: {} },
};

for (const [backend, share] of Object.entries(SHARED_BACKENDS)) {
  describe(`user context on ${backend}`, () => {
    it('reaches the platform in every spelling, signed and unsigned data apart', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open, KEYS);
      const app = await idproxy.register({});
      for (const [name, { claims, known }] of Object.entries(CLAIMS)) {
        const { bearer } = await signIn(idproxy, app, claims);
        assert.deepEqual(await readKnown(idproxy, bearer), { ...EMPTY, ...known }, name);
      }
      const customData = { privateClaims: { tier: 'forged' }, nested: { a: 'b' }, list: ['x'] };
      const assertion = { privateClaims: { tier: 'gold' } };
      const asJson = await signIn(idproxy, app, assertion, { botInfo: { taskBotId: 'st-1', customData }, token: {} });
      assert.deepEqual(await readKnown(idproxy, asJson.bearer), { ...EMPTY, ...assertion, customData });
      for (const path of ['/api/oAuth/token/jwtgrant', '/api/1.1/oAuth/token/jwtgrant']) {
        const form = new URLSearchParams({
          assertion: app.sign(assertion),
          'botInfo[chatBot]': 'Bot',
          'botInfo[customData][privateClaims][tier]': 'forged',
          'botInfo[customData][nested][a]': 'b',
        });
        const { status, body } = await idproxy.request(path, { method: 'POST', body: form });
        assert.equal(status, 200, JSON.stringify(body));
        assert.deepEqual(await readKnown(idproxy, body.authorization.accessToken), {
          ...EMPTY,
          ...assertion,
          customData: { privateClaims: { tier: 'forged' }, nested: { a: 'b' } },
        });
      }
    });

    it('comes out of an encrypted assertion too', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({ jwe: { required: true } });
      const { keys } = (await idproxy.request('/.well-known/jwks.json')).body;
      const jwe = await encryptText(app.sign({ privateClaims: { tier: 'gold' } }), keys[0], { cty: 'JWT' });
      const { body } = await idproxy.authorize(jwe);
      assert.deepEqual(await readKnown(idproxy, body.access_token), { ...EMPTY, privateClaims: { tier: 'gold' } });
    });

    it('is for the admin and the context keys alone', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open, KEYS);
      const app = await idproxy.register({});
      const claims = { privateClaims: { tier: MARK }, secureCustomData: { a: MARK } };
      const botInfo = { customData: { b: MARK } };
      const granted = await present(idproxy, app.sign(claims), { botInfo });
      const bearer: string = granted.body.authorization.accessToken;
      const sessionId: string = (await introspect(idproxy, bearer)).body.session_id;
      const seen = { ...claims, customData: { b: MARK } };
      for (const key of [ADMIN_TOKEN, CONTEXT_KEY]) {
        assert.deepEqual((await introspect(idproxy, bearer, key)).body.user_context, seen);
        assert.deepEqual((await readContext(idproxy, sessionId, key)).body.context.session.UserContext, seen);
      }
      const basic = { authorization: `Basic ${Buffer.from(`any:${CONTEXT_KEY}`).toString('base64')}` };
      assert.deepEqual((await idproxy.post('/oauth/introspect', { token: bearer }, basic)).body.user_context, seen);

      const plain = await introspect(idproxy, bearer, PLAIN_KEY);
      assert.deepEqual([plain.status, plain.body.active, 'user_context' in plain.body], [200, true, false]);
      const refused = seedsError(401, 'the credential is not valid');
      for (const key of [PLAIN_KEY, bearer, sessionId, 'nonsense']) {
        const { status, body } = await readContext(idproxy, sessionId, key);
        assert.deepEqual([status, body], [401, refused], key);
      }
      const bare = await idproxy.request(`/api/1.1/session/context?sessionId=${sessionId}`);
      assert.deepEqual([bare.status, bare.body], [401, seedsError(401, 'a credential is missing')]);
      assert.equal((await introspect(idproxy, bearer, bearer)).status, 401);

      const answers = [
        granted,
        plain,
        await idproxy.authorize(app.sign(claims)),
        await idproxy.post('/oauth/token', {
          grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
          assertion: app.sign(claims),
        }),
        await idproxy.request('/api/1.1/userinfo', { headers: asBearer(bearer) }),
        await idproxy.post('/api/rtm/start', {}, asBearer(bearer)),
        await idproxy.admin('GET', `/admin/identities/${granted.body.userInfo.userId}/export`),
      ];
      for (const { body, headers } of answers)
        assert.ok(!JSON.stringify([body, [...headers]]).includes(MARK), JSON.stringify(body));
    });

    it('of a session that is not live is not there', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open, KEYS);
      const app = await idproxy.register({});
      const { bearer } = await signIn(idproxy, app, { privateClaims: { a: 1 } });
      const { session_id: sessionId } = (await introspect(idproxy, bearer)).body;
      const notFound = seedsError(404, 'there is no live session of this id');
      for (const wrong of [`0000.${'a'.repeat(43)}`, bearer, `${sessionId}x`, '', '..']) {
        const { status, body } = await readContext(idproxy, wrong);
        assert.deepEqual([status, body], [404, notFound], wrong);
      }
      for (const query of ['', '?sessionId=a&sessionId=b']) {
        const headers = asBearer(ADMIN_TOKEN);
        assert.equal((await idproxy.request(`/api/1.1/session/context${query}`, { headers })).status, 400);
      }
      await idproxy.admin('PATCH', `/admin/apps/${app.clientId}`, { enabled: false });
      assert.deepEqual((await readContext(idproxy, sessionId)).body, notFound);
      assert.deepEqual((await introspect(idproxy, bearer)).body, { active: false });
      await idproxy.admin('PATCH', `/admin/apps/${app.clientId}`, { enabled: true });
      assert.equal((await readContext(idproxy, sessionId)).status, 200);
      await idproxy.post('/oauth/revoke', { token: bearer }, asBearer(bearer));
      assert.deepEqual((await readContext(idproxy, sessionId)).body, notFound);
    });

    it('is limited in size: 4 096 bytes of unsigned, 8 192 of signed data', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({});
      const toData = (bytes: number): Json => ({ a: 'é'.repeat((bytes - 8) / 2) });
      assert.equal(Buffer.byteLength(JSON.stringify(toData(4_096))), 4_096);
      const assertion = app.sign();
      const tooLarge = await present(idproxy, assertion, { botInfo: { customData: toData(4_098) } });
      const sentence = '"botInfo.customData" must have at most 4096 bytes as JSON';
      assert.deepEqual([tooLarge.status, tooLarge.body], [400, seedsError(400, sentence)]);
      for (const customData of ['text', ['a'], 5, null])
        assert.equal((await present(idproxy, assertion, { botInfo: { customData } })).status, 400);
      const fits = await present(idproxy, assertion, { botInfo: { customData: toData(4_096) } });
      assert.equal(fits.status, 200, 'a refused body uses no assertion up');

      const halves = { privateClaims: toData(4_096), secureCustomData: toData(4_096) };
      const whole = await signIn(idproxy, app, halves, { botInfo: { customData: toData(4_096) } });
      assert.deepEqual(await readKnown(idproxy, whole.bearer), { ...halves, customData: toData(4_096) });
      const refused = await present(idproxy, app.sign({ ...halves, privateClaims: toData(4_098) }));
      const msg = 'error verifying the jwt: "privateClaims" must have at most 8192 bytes';
      assert.deepEqual([refused.status, refused.body], [401, seedsError(401, msg)]);
    });

    it('is encrypted at rest', async (t) => {
      const { open, dump } = await share();
      const idproxy = await startIdproxy(t, open);
      const app = await idproxy.register({});
      const claims = { privateClaims: { tier: `${MARK}-1` }, secureCustomData: { a: `${MARK}-2` } };
      const { bearer } = await signIn(idproxy, app, claims, { botInfo: { customData: { b: `${MARK}-3` } } });
      const stored = await dump();
      // The very same look finds what is not encrypted.
      assert.ok(stored.includes('alice@example.com'));
      assert.ok(stored.includes(`v1.${idproxy.vault.keyId}.`));
      for (const hidden of [MARK, Buffer.from(MARK).toString('base64url').slice(0, 24), bearer])
        assert.ok(!stored.includes(hidden), hidden);
    });

    it('is sealed for one session: another one cannot open it', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open, KEYS);
      const app = await idproxy.register({});
      const [one, other] = [
        await signIn(idproxy, app, { privateClaims: { tier: MARK } }),
        await signIn(idproxy, app, { sub: 'mallory' }),
      ];
      const find = async ({ bearer }: { bearer: string }) => {
        const { session_id: sessionId } = (await introspect(idproxy, bearer)).body;
        const [tag, key] = sessionId.split('.');
        return { sessionId, tag, key };
      };
      const [from, to] = [await find(one), await find(other)];
      const stored = await idproxy.store.sessions.find(from.tag, from.key);
      const target = await idproxy.store.sessions.find(to.tag, to.key);
      assert.ok(stored && target);
      const sealed: unknown = JSON.parse(stored.body)[2];
      const body = JSON.stringify([...JSON.parse(target.body).slice(0, 2), sealed]);
      // The record of the other session is written anew, with the first one's data in it.
      const identity = {
        id: target.identity.id,
        owner: app.clientId,
        ...OVERWRITING,
      };
      const session = { key: to.key, body, expiresInMs: 60_000 };
      const attempt = { tag: to.tag, app: app.clientId, identity, session };
      assert.deepEqual(await idproxy.store.sessions.exchange(attempt), { kind: 'granted' });
      const context = await readContext(idproxy, to.sessionId);
      assert.deepEqual([context.status, context.body], [500, seedsError(500, 'internal error')]);
      const answer = await introspect(idproxy, other.bearer);
      assert.equal(answer.status, 500);
      assert.ok(!JSON.stringify(answer.body).includes(MARK));
      assert.equal((await introspect(idproxy, other.bearer, PLAIN_KEY)).body.active, true);
      assert.equal((await readContext(idproxy, from.sessionId)).status, 200);
    });

    it('within the reuse window is the first one, whatever is said beside the assertion later', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({ reuseWindowSeconds: 60 });
      const assertion = app.sign({ privateClaims: { tier: 'gold' } });
      const say = async (customData: Json): Promise<string> => {
        const { status, body } = await present(idproxy, assertion, { botInfo: { customData } });
        assert.equal(status, 200, JSON.stringify(body));
        return body.authorization.accessToken;
      };
      const bearer = await say({ a: 'first' });
      assert.equal(await say({ a: 'second' }), bearer);
      const known = { privateClaims: { tier: 'gold' }, secureCustomData: {}, customData: { a: 'first' } };
      assert.deepEqual(await readKnown(idproxy, bearer), known);
    });

    it('under another master key fails without detail', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open, KEYS);
      const app = await idproxy.register({});
      const { bearer, userId } = await signIn(idproxy, app, {});
      const { session_id: sessionId } = (await introspect(idproxy, bearer)).body;
      const [tag, key] = sessionId.split('.');
      const found = await idproxy.store.sessions.find(tag, key);
      assert.ok(found);
      const former = createUserContexts(createVault(Buffer.alloc(32, 8)));
      const sealed = former.seal(sessionId, { privateClaims: { tier: MARK } });
      const body = JSON.stringify([...JSON.parse(found.body).slice(0, 5), sealed]);
      const identity = {
        id: userId.slice(2),
        owner: app.clientId,
        ...OVERWRITING,
      };
      const session = { key, body, expiresInMs: 60_000 };
      await idproxy.store.sessions.exchange({ tag, app: app.clientId, identity, session });
      for (const { status, body: answer } of [
        await readContext(idproxy, sessionId),
        await readContext(idproxy, sessionId, CONTEXT_KEY),
      ])
        assert.deepEqual([status, answer], [500, seedsError(500, 'internal error')]);
      const introspected = await introspect(idproxy, bearer);
      assert.deepEqual([introspected.status, introspected.body.error], [500, 'server_error']);
    });
  });
}
