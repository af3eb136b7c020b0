import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Json } from '../../support/assertions.ts';
import { seedsError } from '../../support/idproxy-under-test.ts';
import {
  assertAlive,
  assertDead,
  lookUp,
  present,
  readConversation,
  readTexts,
  say,
  SHARED_BACKENDS,
  signIn,
  startIdproxy,
} from './users-under-test.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const UNPROVEN =
  'error verifying the jwt: "identityToMerge" needs the bearer of that identity, as "identity_to_merge_token"';
/** Bearers live for a minute; a conversation goes on for five more. */
const BEARER_SECONDS = 60;
const GRACE_SECONDS = 300;

const ANON = { sub: 'anon-1', isAnonymous: true };
const ALICE = { sub: 'alice' };
const MERGING = { ...ALICE, identityToMerge: 'anon-1' };
const SETTINGS = { allowAnonymous: true, bearerLifetimeSeconds: BEARER_SECONDS };

for (const [backend, share] of Object.entries(SHARED_BACKENDS)) {
  describe(`identityToMerge on ${backend}`, () => {
    it('row 1: neither is there: a new identity, a new conversation', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register(SETTINGS);
      const alice = await signIn(idproxy, app, MERGING);
      await assertAlive(idproxy, alice);
      assert.equal((await lookUp(idproxy, app, 'anon-1', true)).status, 404);
      assert.match(await readConversation(idproxy, app, 'alice'), /^[0-9a-f-]{36}$/);
    });

    it('row 2: nobody to merge: the user continues', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register(SETTINGS);
      const first = await signIn(idproxy, app, ALICE);
      const conversation = await readConversation(idproxy, app, 'alice');
      await say(idproxy, first.userId, conversation, 'hello');
      const second = await signIn(idproxy, app, MERGING);
      assert.equal(second.userId, first.userId);
      await assertAlive(idproxy, first);
      assert.equal(await readConversation(idproxy, app, 'alice'), conversation);
      assert.deepEqual(await readTexts(idproxy, first.userId), ['hello']);
    });

    it('row 3: a new user takes the conversation over, and the merged identity is gone with its bearers', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register(SETTINGS);
      const anon = await signIn(idproxy, app, ANON);
      const again = await signIn(idproxy, app, ANON);
      const conversation = await readConversation(idproxy, app, 'anon-1', true);
      await say(idproxy, anon.userId, conversation, 'said before signing in');
      const alice = await signIn(idproxy, app, MERGING);
      assert.notEqual(alice.userId, anon.userId);
      await assertAlive(idproxy, alice);
      for (const { bearer } of [anon, again]) await assertDead(idproxy, bearer);
      assert.equal((await lookUp(idproxy, app, 'anon-1', true)).status, 404);
      assert.equal(await readConversation(idproxy, app, 'alice'), conversation);
      assert.deepEqual(await readTexts(idproxy, alice.userId), ['said before signing in']);
      // SECURITY: whoever still has assertions for the anonymous name comes to an empty conversation, not to the user's.
      const later = await signIn(idproxy, app, ANON);
      assert.notEqual(await readConversation(idproxy, app, 'anon-1', true), conversation);
      assert.deepEqual(await readTexts(idproxy, later.userId), []);
      await assertDead(idproxy, anon.bearer);
    });

    it('row 5: both are active: the merged conversation wins, the other one ends as a drop-off', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register(SETTINGS);
      const alice = await signIn(idproxy, app, ALICE);
      const own = await readConversation(idproxy, app, 'alice');
      await say(idproxy, alice.userId, own, 'in the one that ends');
      const anon = await signIn(idproxy, app, ANON);
      const conversation = await readConversation(idproxy, app, 'anon-1', true);
      await say(idproxy, anon.userId, conversation, 'in the one that goes on');
      const ended: string[] = [];
      const stop = idproxy.store.endings.watch({
        onEnding: ({ kind, id }) => ended.push(`${kind} ${id}`),
        onGap: () => undefined,
      });
      t.after(stop);
      const merged = await signIn(idproxy, app, MERGING);
      assert.equal(merged.userId, alice.userId);
      await assertDead(idproxy, anon.bearer);
      assert.equal(await readConversation(idproxy, app, 'alice'), conversation);
      assert.deepEqual(await readTexts(idproxy, alice.userId), ['in the one that goes on']);
      const expected = [`conversation ${own}`, `identity ${anon.userId.slice(2)}`];
      const end = performance.now() + 3_000;
      while (expected.some((one) => !ended.includes(one)) && performance.now() < end)
        await new Promise((resolve) => setTimeout(resolve, 20));
      assert.deepEqual([...new Set(ended)].sort(), expected);
      assert.deepEqual(await idproxy.store.conversations.read(own), []);
    });

    const NEVER_TAKEN: Readonly<Record<string, Json>> = {
      'a known identity': { identityToMerge: 'bob' },
      oneself: { identityToMerge: 'alice' },
    };
    for (const [what, claims] of Object.entries(NEVER_TAKEN)) {
      it(`never merges ${what}`, async (t) => {
        const idproxy = await startIdproxy(t, (await share()).open);
        const app = await idproxy.register(SETTINGS);
        const bob = await signIn(idproxy, app, { sub: 'bob' });
        const bobs = await readConversation(idproxy, app, 'bob');
        const before = await signIn(idproxy, app, ALICE);
        const conversation = await readConversation(idproxy, app, 'alice');
        const alice = await signIn(idproxy, app, { ...ALICE, ...claims });
        for (const user of [bob, before, alice]) await assertAlive(idproxy, user);
        assert.equal(await readConversation(idproxy, app, 'bob'), bobs);
        assert.equal(await readConversation(idproxy, app, 'alice'), conversation);
      });
    }

    it('never merges an identity of another client', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const [app, other] = [await idproxy.register(SETTINGS), await idproxy.register(SETTINGS)];
      const anon = await signIn(idproxy, other, ANON);
      const conversation = await readConversation(idproxy, other, 'anon-1', true);
      await signIn(idproxy, app, MERGING);
      await assertAlive(idproxy, anon);
      assert.equal(await readConversation(idproxy, other, 'anon-1', true), conversation);
      assert.notEqual(await readConversation(idproxy, app, 'alice'), conversation);
    });

    it('merges a known identity where the app allows it, and an anonymous one of that name first', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({ ...SETTINGS, merge: { allowKnown: true } });
      const bob = await signIn(idproxy, app, { sub: 'bob' });
      const conversation = await readConversation(idproxy, app, 'bob');
      const anon = await signIn(idproxy, app, { sub: 'bob', isAnonymous: true });
      const first = await readConversation(idproxy, app, 'bob', true);
      await signIn(idproxy, app, { ...ALICE, identityToMerge: 'bob' });
      await assertDead(idproxy, anon.bearer);
      await assertAlive(idproxy, bob);
      assert.equal(await readConversation(idproxy, app, 'alice'), first);
      await signIn(idproxy, app, { ...ALICE, identityToMerge: 'bob' });
      await assertDead(idproxy, bob.bearer);
      assert.equal((await lookUp(idproxy, app, 'bob')).status, 404);
      assert.equal(await readConversation(idproxy, app, 'alice'), conversation);
    });

    it('an anonymous user takes no known one, whatever the app allows', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({ ...SETTINGS, merge: { allowKnown: true } });
      const bob = await signIn(idproxy, app, { sub: 'bob' });
      const conversation = await readConversation(idproxy, app, 'bob');
      await signIn(idproxy, app, { ...ANON, identityToMerge: 'bob' });
      await assertAlive(idproxy, bob);
      assert.equal(await readConversation(idproxy, app, 'bob'), conversation);
    });

    it('a user who may not be created merges nobody', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({ ...SETTINGS, autoRegister: false });
      const anon = await signIn(idproxy, app, ANON);
      const { status, body } = await present(idproxy, app.sign(MERGING));
      assert.deepEqual(
        [status, body],
        [401, seedsError(401, 'error verifying the jwt: "sub" is not a user of this client')],
      );
      await assertAlive(idproxy, anon);
    });

    it('merged by one instance, seen by another', async (t) => {
      const { open } = await share();
      const [one, other] = [await startIdproxy(t, open), await startIdproxy(t, open)];
      const app = await one.register(SETTINGS);
      const anon = await signIn(other, app, ANON);
      const conversation = await readConversation(other, app, 'anon-1', true);
      const alice = await signIn(one, app, MERGING);
      await assertDead(other, anon.bearer);
      await assertAlive(other, alice);
      assert.equal(await readConversation(other, app, 'alice'), conversation);
    });

    it('twenty at once over two instances: one user gets the conversation', async (t) => {
      const { open } = await share();
      const instances = [await startIdproxy(t, open), await startIdproxy(t, open)] as const;
      const app = await instances[0].register(SETTINGS);
      const anon = await signIn(instances[0], app, ANON);
      const conversation = await readConversation(instances[0], app, 'anon-1', true);
      await say(instances[0], anon.userId, conversation, 'hello');
      const subjects = Array.from({ length: 20 }, (_, index) => `user-${index}`);
      const users = await Promise.all(
        subjects.map((sub, index) =>
          signIn(instances[index % 2 === 0 ? 0 : 1], app, { sub, identityToMerge: 'anon-1' }),
        ),
      );
      const conversations = await Promise.all(subjects.map((sub) => readConversation(instances[1], app, sub)));
      assert.equal(conversations.filter((one) => one === conversation).length, 1);
      assert.equal(new Set(conversations).size, 20);
      const texts = await Promise.all(users.map(({ userId }) => readTexts(instances[0], userId)));
      assert.deepEqual(texts.flat(), ['hello']);
      for (const user of users) await assertAlive(instances[1], user);
      await assertDead(instances[1], anon.bearer);
    });
  });

  describe(`merge.requireProof on ${backend}`, () => {
    /** Where an assertion is presented, by every content type. */
    const WAYS: Readonly<Record<string, { path: string; isForm: boolean; more?: Record<string, string> }>> = {
      authorize: { path: '/authorize', isForm: false },
      'authorize, a form': { path: '/authorize', isForm: true },
      jwtgrant: { path: '/api/oAuth/token/jwtgrant', isForm: false },
      'jwtgrant, a form': { path: '/api/oAuth/token/jwtgrant', isForm: true },
      'the versioned jwtgrant': { path: '/api/1.1/oAuth/token/jwtgrant', isForm: false },
      'the versioned jwtgrant, a form': { path: '/api/1.1/oAuth/token/jwtgrant', isForm: true },
      'the token endpoint': { path: '/oauth/token', isForm: false, more: { grant_type: JWT_BEARER } },
      'the token endpoint, a form': { path: '/oauth/token', isForm: true, more: { grant_type: JWT_BEARER } },
    };

    it('takes the right bearer on every way in, and without one says so and burns nothing', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({ ...SETTINGS, merge: { requireProof: true } });
      let count = 0;
      for (const [name, { path, isForm, more }] of Object.entries(WAYS)) {
        await t.test(name, async () => {
          count += 1;
          const anon = await signIn(idproxy, app, { sub: `anon-${count}`, isAnonymous: true });
          const conversation = await readConversation(idproxy, app, `anon-${count}`, true);
          const assertion = app.sign({ sub: `user-${count}`, identityToMerge: `anon-${count}` });
          const send = (proof: Record<string, string>) => {
            const body = { assertion, ...more, ...proof };
            if (!isForm) return idproxy.post(path, body);
            return idproxy.request(path, { method: 'POST', body: new URLSearchParams(body) });
          };
          const refused = await send({});
          const isOauth = path === '/oauth/token';
          assert.equal(refused.status, isOauth ? 400 : 401);
          assert.deepEqual(
            refused.body,
            isOauth
              ? { error: 'invalid_grant', error_description: UNPROVEN.replaceAll('"', "'") }
              : seedsError(401, UNPROVEN),
          );
          await assertAlive(idproxy, anon);
          assert.equal((await lookUp(idproxy, app, `user-${count}`)).status, 404);
          const granted = await send({ identity_to_merge_token: anon.bearer });
          assert.equal(granted.status, 200, JSON.stringify(granted.body));
          await assertDead(idproxy, anon.bearer);
          assert.equal(await readConversation(idproxy, app, `user-${count}`), conversation);
        });
      }
    });

    it('refuses every other bearer to the letter, and the assertion stays good', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const settings = { ...SETTINGS, merge: { requireProof: true } };
      const [app, other] = [await idproxy.register(settings), await idproxy.register(settings)];
      const revoked = await signIn(idproxy, app, ANON);
      const revoking = { authorization: `Bearer ${revoked.bearer}` };
      assert.equal((await idproxy.post('/oauth/revoke', { token: revoked.bearer }, revoking)).status, 200);
      const anon = await signIn(idproxy, app, ANON);
      const proofs: Readonly<Record<string, string>> = {
        'no bearer at all': 'nonsense',
        empty: '',
        'a bearer that never was': `cs1_0000_${'a'.repeat(43)}`,
        'cut off': anon.bearer.slice(0, -1),
        "another user's": (await signIn(idproxy, app, { sub: 'anon-2', isAnonymous: true })).bearer,
        "a known user's of that name": (await signIn(idproxy, app, { sub: 'anon-1' })).bearer,
        "another client's, of that name": (await signIn(idproxy, other, ANON)).bearer,
        "the user's own": (await signIn(idproxy, app, ALICE)).bearer,
        revoked: revoked.bearer,
      };
      const assertion = app.sign(MERGING);
      for (const [name, proof] of Object.entries(proofs)) {
        const { status, body } = await present(idproxy, assertion, { identity_to_merge_token: proof });
        assert.deepEqual([status, body], [401, seedsError(401, UNPROVEN)], name);
      }
      for (const proof of [5, null, {}, ['x']]) {
        const { status } = await present(idproxy, assertion, { identity_to_merge_token: proof });
        assert.equal(status, 400, JSON.stringify(proof));
      }
      await assertAlive(idproxy, anon);
      assert.equal((await present(idproxy, assertion, { identity_to_merge_token: anon.bearer })).status, 200);
      await assertDead(idproxy, anon.bearer);
    });

    it('asks for no proof where there is nobody to merge', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({ ...SETTINGS, merge: { requireProof: true } });
      await assertAlive(idproxy, await signIn(idproxy, app, MERGING));
    });
  });
}

describe('identityToMerge, when time has passed', () => {
  it('row 4: the user is there without a conversation: the merged one goes on', async (t) => {
    const idproxy = await startIdproxy(t, (await SHARED_BACKENDS.embedded()).open);
    const app = await idproxy.register(SETTINGS);
    const alice = await signIn(idproxy, app, ALICE);
    const own = await readConversation(idproxy, app, 'alice');
    idproxy.clock.set(idproxy.clock.nowSeconds() + BEARER_SECONDS + GRACE_SECONDS + 1);
    const anon = await signIn(idproxy, app, ANON);
    const conversation = await readConversation(idproxy, app, 'anon-1', true);
    await say(idproxy, anon.userId, conversation, 'hello');
    const merged = await signIn(idproxy, app, MERGING);
    assert.equal(merged.userId, alice.userId);
    assert.notEqual(conversation, own);
    assert.equal(await readConversation(idproxy, app, 'alice'), conversation);
    assert.deepEqual(await readTexts(idproxy, alice.userId), ['hello']);
    await assertDead(idproxy, anon.bearer);
  });

  it('an anonymous identity whose time is over is merged by nobody', async (t) => {
    const idproxy = await startIdproxy(t, (await SHARED_BACKENDS.embedded()).open);
    const app = await idproxy.register(SETTINGS);
    await signIn(idproxy, app, ANON);
    const conversation = await readConversation(idproxy, app, 'anon-1', true);
    idproxy.clock.set(idproxy.clock.nowSeconds() + BEARER_SECONDS + GRACE_SECONDS + 1);
    await signIn(idproxy, app, MERGING);
    assert.notEqual(await readConversation(idproxy, app, 'alice'), conversation);
  });

  it('an expired bearer proves nothing while the identity is still known', async (t) => {
    const idproxy = await startIdproxy(t, (await SHARED_BACKENDS.embedded()).open);
    const app = await idproxy.register({ ...SETTINGS, merge: { requireProof: true } });
    const anon = await signIn(idproxy, app, ANON);
    idproxy.clock.set(idproxy.clock.nowSeconds() + BEARER_SECONDS + 1);
    const assertion = app.sign(MERGING);
    const { status, body } = await present(idproxy, assertion, { identity_to_merge_token: anon.bearer });
    assert.deepEqual([status, body], [401, seedsError(401, UNPROVEN)]);
    const fresh = await signIn(idproxy, app, ANON);
    assert.equal((await present(idproxy, assertion, { identity_to_merge_token: fresh.bearer })).status, 200);
  });
});
