import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { JsonObject } from '../../../src/core/json.ts';
import { type IdproxyUnderTest, seedsError } from '../../support/idproxy-under-test.ts';
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

const ANON = { sub: 'anon-1', isAnonymous: true };
const USER_ID = /^u-[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const NOBODY = 'u-0b63a6f0-3d3c-8f0e-9d51-7f6d2a9e4c11';
const NOT_FOUND = seedsError(404, 'there is no such user');
const UNKNOWN = seedsError(401, 'error verifying the jwt: "sub" is not a user of this client');

/** The names of an app's users, as the admin lists them. */
async function listSubjects(idproxy: IdproxyUnderTest, clientId: string): Promise<string[]> {
  const { status, body } = await idproxy.admin('GET', `/admin/identities?clientId=${clientId}`);
  assert.equal(status, 200, JSON.stringify(body));
  return body.identities.map(({ subject }: JsonObject) => subject);
}

for (const [backend, share] of Object.entries(SHARED_BACKENDS)) {
  describe(`users on ${backend}`, () => {
    it('the first exchange registers a user, the next one finds them', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({});
      const first = await signIn(idproxy, app, { sub: 'alice@example.com' });
      const { body } = await idproxy.admin('GET', `/admin/identities?clientId=${app.clientId}`);
      const [{ conversation, ...view }] = body.identities;
      assert.deepEqual(Object.keys(body), ['identities']);
      assert.match(first.userId, USER_ID);
      assert.deepEqual(view, {
        userId: first.userId,
        clientId: app.clientId,
        subject: 'alice@example.com',
        isAnonymous: false,
        createdAt: '2026-01-01T00:00:00.000Z',
      });
      idproxy.clock.set(idproxy.clock.nowSeconds() + 20);
      const second = await signIn(idproxy, app, { sub: 'alice@example.com' });
      assert.equal(second.userId, first.userId);
      const shown = (await idproxy.admin('GET', `/admin/identities/${first.userId}`)).body;
      assert.deepEqual({ ...shown, conversation: undefined }, { ...view, conversation: undefined });
      assert.equal(shown.conversation.id, conversation.id);
      assert.ok(Date.parse(shown.conversation.activeUntil) > Date.parse(conversation.activeUntil));
      assert.deepEqual((await lookUp(idproxy, app, 'alice@example.com')).body, shown);
      assert.deepEqual(await listSubjects(idproxy, app.clientId), ['alice@example.com']);
    });

    it('an app that registers nobody by itself: the refused assertion passes once the user is registered', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({ autoRegister: false, enforceJti: true });
      const assertion = app.sign({ sub: 'alice' });
      for (const _ of ['first', 'second']) {
        const { status, body } = await present(idproxy, assertion);
        assert.deepEqual([status, body], [401, UNKNOWN]);
      }
      assert.deepEqual(await listSubjects(idproxy, app.clientId), []);
      const named = { clientId: app.clientId, subject: 'alice' };
      const { status, headers, body } = await idproxy.admin('POST', '/admin/identities', named);
      assert.equal(status, 201);
      assert.match(body.userId, USER_ID);
      assert.equal(headers.get('location'), `/admin/identities/${body.userId}`);
      assert.deepEqual(body, {
        userId: body.userId,
        ...named,
        isAnonymous: false,
        createdAt: '2026-01-01T00:00:00.000Z',
      });
      const again = await idproxy.admin('POST', '/admin/identities', named);
      assert.deepEqual([again.status, again.body], [409, seedsError(409, 'this user is registered already')]);
      const granted = await present(idproxy, assertion);
      assert.deepEqual([granted.status, granted.body.userInfo?.userId], [200, body.userId]);
      assert.equal(
        (await present(idproxy, assertion)).body.errors[0].msg,
        'error verifying the jwt: possibly a replay',
      );
      assert.equal((await present(idproxy, app.sign({ sub: 'Alice' }))).status, 401);
    });

    it('anonymous and known users of one name are two', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({ allowAnonymous: true, autoRegister: false });
      const anon = await signIn(idproxy, app, { sub: 'bob', isAnonymous: true });
      assert.deepEqual((await present(idproxy, app.sign({ sub: 'bob' }))).body, UNKNOWN);
      assert.equal((await lookUp(idproxy, app, 'bob')).status, 404);
      await idproxy.admin('POST', '/admin/identities', { clientId: app.clientId, subject: 'bob' });
      const known = await signIn(idproxy, app, { sub: 'bob' });
      assert.notEqual(known.userId, anon.userId);
      assert.notEqual(await readConversation(idproxy, app, 'bob'), await readConversation(idproxy, app, 'bob', true));
      assert.equal((await idproxy.admin('DELETE', `/admin/identities/${known.userId}`)).status, 204);
      await assertAlive(idproxy, anon);
      await assertDead(idproxy, known.bearer);
      const closed = await idproxy.register({});
      await signIn(idproxy, closed, { sub: 'bob' });
      const { status, body } = await present(idproxy, closed.sign({ sub: 'bob', isAnonymous: true }));
      assert.equal(status, 401);
      assert.match(body.errors[0].msg, /"isAnonymous" users are not allowed/);
    });

    it('one name at two clients is two users', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const [app, other] = [await idproxy.register({}), await idproxy.register({})];
      const [one, two] = [await signIn(idproxy, app, { sub: 'bob' }), await signIn(idproxy, other, { sub: 'bob' })];
      assert.notEqual(one.userId, two.userId);
      await idproxy.admin('DELETE', `/admin/identities/${one.userId}`);
      await assertDead(idproxy, one.bearer);
      await assertAlive(idproxy, two);
    });

    it('anonymous users are on no list, and can be found while they are there', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({ allowAnonymous: true });
      const { userId } = await signIn(idproxy, app, ANON);
      assert.deepEqual(await listSubjects(idproxy, app.clientId), []);
      const { status, body } = await lookUp(idproxy, app, 'anon-1', true);
      assert.deepEqual([status, body.userId, body.isAnonymous], [200, userId, true]);
      assert.deepEqual((await idproxy.admin('GET', `/admin/identities/${userId}`)).body, body);
    });

    it('lists page by page, each user once and of that app alone', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const [app, other] = [await idproxy.register({}), await idproxy.register({})];
      const names = Array.from({ length: 7 }, (_, index) => `user-${index}`);
      for (const subject of names) {
        for (const { clientId } of [app, other])
          assert.equal((await idproxy.admin('POST', '/admin/identities', { clientId, subject })).status, 201);
      }
      const seen: string[] = [];
      const sizes: number[] = [];
      let next: string | undefined;
      do {
        const query = new URLSearchParams({ clientId: app.clientId, limit: '3', ...(next && { cursor: next }) });
        const { body } = await idproxy.admin('GET', `/admin/identities?${query.toString()}`);
        assert.ok(body.identities.every(({ clientId }: JsonObject) => clientId === app.clientId));
        sizes.push(body.identities.length);
        seen.push(...body.identities.map(({ subject }: JsonObject) => subject));
        next = body.next;
      } while (next !== undefined);
      assert.deepEqual(sizes, [3, 3, 1]);
      assert.deepEqual(seen.sort(), names);
      const whole = await idproxy.admin('GET', `/admin/identities?clientId=${app.clientId}&limit=7`);
      assert.deepEqual([whole.body.identities.length, 'next' in whole.body], [7, false]);
    });

    it('erasing ends sessions on every instance at once; the next sign-in begins anew', async (t) => {
      const { open } = await share();
      const [one, other] = [await startIdproxy(t, open), await startIdproxy(t, open)];
      const app = await one.register({ reuseWindowSeconds: 60 });
      const assertion = app.sign({ sub: 'alice' });
      const { body } = await present(other, assertion);
      const users = [await signIn(one, app, { sub: 'alice' }), await signIn(other, app, { sub: 'alice' })];
      const { userId } = users[0] ?? assert.fail();
      const bob = await signIn(one, app, { sub: 'bob' });
      const conversation = await readConversation(one, app, 'alice');
      await say(one, userId, conversation, 'hello');
      const ended: string[] = [];
      t.after(
        other.store.endings.watch({
          onEnding: ({ kind, id }) => ended.push(`${kind} ${id}`),
          onGap: () => undefined,
        }),
      );
      const erased = await one.admin('DELETE', `/admin/identities/${userId}`);
      assert.deepEqual([erased.status, erased.body], [204, undefined]);
      for (const { bearer } of [...users, { bearer: body.authorization.accessToken }])
        for (const idproxy of [one, other]) await assertDead(idproxy, bearer);
      await assertAlive(other, bob);
      for (const [method, path] of [
        ['DELETE', ''],
        ['GET', ''],
        ['GET', '/export'],
      ]) {
        const gone = await other.admin(method ?? '', `/admin/identities/${userId}${path}`);
        assert.deepEqual([gone.status, gone.body], [404, NOT_FOUND]);
      }
      assert.deepEqual(await other.store.conversations.read(conversation), []);
      const end = performance.now() + 3_000;
      while (ended.length === 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.deepEqual([...new Set(ended)], [`identity ${userId.slice(2)}`]);
      // The reuse window gives no session back to a user who was erased.
      assert.equal((await present(one, assertion)).body.errors[0].msg, 'error verifying the jwt: possibly a replay');
      const anew = await signIn(other, app, { sub: 'alice' });
      assert.equal(anew.userId, userId);
      assert.notEqual(await readConversation(one, app, 'alice'), conversation);
      assert.deepEqual(await readTexts(one, userId), []);
      for (const { bearer } of users) await assertDead(one, bearer);
    });

    it('exports the user, what was said, and what cannot be in it', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({});
      for (const sub of ['alice', 'bob']) {
        const { userId } = await signIn(idproxy, app, { sub });
        const conversation = await readConversation(idproxy, app, sub);
        for (const text of ['hello', 'good bye']) await say(idproxy, userId, conversation, `${sub}: ${text}`);
      }
      const identity = (await lookUp(idproxy, app, 'alice')).body;
      const { status, body } = await idproxy.admin('GET', `/admin/identities/${identity.userId}/export`);
      assert.equal(status, 200);
      const { notIncluded, ...rest } = body;
      assert.deepEqual(rest, { identity, messages: [{ text: 'alice: hello' }, { text: 'alice: good bye' }] });
      assert.match(notIncluded.join('\n'), /Sessions are stored under hashes/);
    });

    it('an export whose messages cannot be opened fails without detail', async (t) => {
      const idproxy = await startIdproxy(t, (await share()).open);
      const app = await idproxy.register({});
      const { userId } = await signIn(idproxy, app, { sub: 'alice' });
      const conversation = await readConversation(idproxy, app, 'alice');
      const elsewhere = idproxy.vault.seal('{"text":"hello"}', 'message:another conversation');
      await idproxy.store.conversations.append(userId.slice(2), conversation, [elsewhere], 50);
      const { status, body } = await idproxy.admin('GET', `/admin/identities/${userId}/export`);
      assert.deepEqual([status, body], [500, seedsError(500, 'internal error')]);
    });

    it('deleting an app erases its users', async (t) => {
      const { open } = await share();
      const [one, other] = [await startIdproxy(t, open), await startIdproxy(t, open)];
      const [app, kept] = [await one.register({}), await one.register({})];
      const users = [];
      for (const sub of ['alice', 'bob']) users.push(await signIn(one, app, { sub }));
      const stays = await signIn(one, kept, { sub: 'alice' });
      assert.equal((await one.admin('DELETE', `/admin/apps/${app.clientId}`)).status, 204);
      assert.deepEqual(await listSubjects(other, app.clientId), []);
      for (const { userId, bearer } of users) {
        assert.equal((await other.admin('GET', `/admin/identities/${userId}`)).status, 404);
        await assertDead(other, bearer);
      }
      await assertAlive(other, stays);
      const named = { clientId: app.clientId, subject: 'carol' };
      const { status, body } = await other.admin('POST', '/admin/identities', named);
      assert.deepEqual([status, body], [404, seedsError(404, 'no app has this client id')]);
      assert.deepEqual(await listSubjects(other, app.clientId), []);
    });
  });
}

describe('an anonymous user', () => {
  const SETTINGS = { allowAnonymous: true, bearerLifetimeSeconds: 60 };

  it('is known for five minutes after the session, and then gone', async (t) => {
    const idproxy = await startIdproxy(t, (await SHARED_BACKENDS.embedded()).open);
    const app = await idproxy.register(SETTINGS);
    const { userId, bearer } = await signIn(idproxy, app, ANON);
    const conversation = await readConversation(idproxy, app, 'anon-1', true);
    const start = idproxy.clock.nowSeconds();
    idproxy.clock.set(start + 359);
    await assertDead(idproxy, bearer);
    const again = await signIn(idproxy, app, ANON);
    assert.equal(again.userId, userId);
    assert.equal(await readConversation(idproxy, app, 'anon-1', true), conversation);
    idproxy.clock.set(start + 359 + 360);
    for (const path of ['', '/export'])
      assert.equal((await idproxy.admin('GET', `/admin/identities/${userId}${path}`)).status, 404);
    await signIn(idproxy, app, ANON);
    assert.notEqual(await readConversation(idproxy, app, 'anon-1', true), conversation);
  });

  it('expires in Redis by itself, and a known one does not', async (t) => {
    const { open, readLivesMs } = await SHARED_BACKENDS.redis();
    const idproxy = await startIdproxy(t, open);
    const app = await idproxy.register(SETTINGS);
    const anon = await signIn(idproxy, app, ANON);
    const alice = await signIn(idproxy, app, { sub: 'alice' });
    const lives = await readLivesMs();
    const find = (userId: string): number =>
      [...lives].find(([key]) => key.includes(userId.slice(2)))?.[1] ?? assert.fail(userId);
    assert.ok(find(anon.userId) > 350_000 && find(anon.userId) <= 360_000, String(find(anon.userId)));
    assert.equal(find(alice.userId), -1);
  });
});

describe('requests about users that are refused', () => {
  it('says which field is wrong, and quotes nothing', async (t) => {
    const idproxy = await startIdproxy(t, (await SHARED_BACKENDS.embedded()).open);
    const { clientId } = await idproxy.register({});
    const queries: Readonly<Record<string, RegExp>> = {
      '': /"clientId" is missing/,
      'clientId=': /"clientId"/,
      'clientId=a&clientId=b': /"clientId"/,
      [`clientId=${'x'.repeat(1_025)}`]: /"clientId"/,
      'clientId=a&limit=0': /"limit" must be at least 1/,
      'clientId=a&limit=201': /"limit" must be at most 200/,
      'clientId=a&limit=-1': /"limit"/,
      'clientId=a&limit=': /"limit"/,
      'clientId=a&limit=1e2': /"limit" must be a whole number/,
      'clientId=a&limit=1000': /"limit"/,
      'clientId=a&cursor=': /"cursor" must be the "next" of an earlier answer/,
      'clientId=a&cursor=nonsense-of-the-caller': /"cursor"/,
      'clientId=a&lmit=5': /"lmit" is not known here/,
    };
    for (const [query, msg] of Object.entries(queries)) {
      const { status, body } = await idproxy.admin('GET', `/admin/identities?${query}`);
      assert.equal(status, 400, query);
      assert.match(body.errors[0].msg, msg);
      assert.doesNotMatch(body.errors[0].msg, /nonsense/);
    }
    for (const limit of ['1', '200', '007'])
      assert.equal((await idproxy.admin('GET', `/admin/identities?clientId=${clientId}&limit=${limit}`)).status, 200);
    const bodies: readonly JsonObject[] = [
      {},
      { clientId },
      { subject: 'alice' },
      { clientId, subject: '' },
      { clientId, subject: 5 },
      { clientId, subject: ['alice'] },
      { clientId, subject: 'nonsense\n' },
      { clientId, subject: 'nonsense\u0000' },
      { clientId, subject: 'nonsense\ud800' },
      { clientId, subject: 'x'.repeat(257) },
      { clientId, subject: 'alice', other: 1 },
    ];
    for (const path of ['/admin/identities', '/admin/identities/look-up']) {
      for (const body of bodies) {
        const answer = await idproxy.admin('POST', path, body);
        assert.equal(answer.status, 400, JSON.stringify(body));
        assert.doesNotMatch(answer.body.errors[0].msg, /nonsense|xxx/);
      }
      const large = await idproxy.admin('POST', path, { clientId, subject: 'x'.repeat(9_000) });
      assert.equal(large.status, 413);
    }
    const wrongFlag = { clientId, subject: 'alice', isAnonymous: 'false' };
    assert.equal((await idproxy.admin('POST', '/admin/identities/look-up', wrongFlag)).status, 400);
    for (const subject of ['x'.repeat(256), '😀'.repeat(128), 'a b', '__proto__']) {
      assert.equal((await idproxy.admin('POST', '/admin/identities', { clientId, subject })).status, 201);
      assert.equal((await idproxy.admin('POST', '/admin/identities/look-up', { clientId, subject })).status, 200);
    }
  });

  it('there is nobody under a wrong user id, whatever is wrong with it', async (t) => {
    const idproxy = await startIdproxy(t, (await SHARED_BACKENDS.embedded()).open);
    const { clientId } = await idproxy.register({});
    for (const userId of [NOBODY, NOBODY.slice(2), NOBODY.toUpperCase(), `${NOBODY}x`, 'u-', 'x'.repeat(500), '%00']) {
      for (const [method, path] of [
        ['GET', ''],
        ['DELETE', ''],
        ['GET', '/export'],
      ]) {
        const { status, body } = await idproxy.admin(method ?? '', `/admin/identities/${userId}${path}`);
        assert.deepEqual([status, body], [404, NOT_FOUND], userId);
      }
    }
    assert.equal((await idproxy.admin('GET', '/admin/identities/%ff')).status, 400);
    const nobody = await idproxy.admin('POST', '/admin/identities/look-up', { clientId, subject: 'nobody' });
    assert.deepEqual([nobody.status, nobody.body], [404, NOT_FOUND]);
    const empty = await idproxy.admin('GET', '/admin/identities?clientId=cs-nobody');
    assert.deepEqual([empty.status, empty.body], [200, { identities: [] }]);
  });

  it('a stored identity that cannot be read fails without detail', async (t) => {
    const idproxy = await startIdproxy(t, (await SHARED_BACKENDS.embedded()).open);
    const bodies = ['{', 'null', '{}', '[]', '[5,5]', '["alice"]', '["alice","then"]'];
    for (const [index, body] of bodies.entries()) {
      const id = `0b63a6f0-3d3c-8f0e-9d51-7f6d2a9e4c${index + 10}`;
      await idproxy.store.identities.create({
        id,
        owner: 'cs-1',
        isKept: true,
        body,
        incarnation: 'i',
        conversation: 'c',
      });
      const answer = await idproxy.admin('GET', `/admin/identities/u-${id}`);
      assert.deepEqual([answer.status, answer.body], [500, seedsError(500, 'internal error')], body);
      assert.equal(
        (await idproxy.admin('DELETE', `/admin/identities/u-${id}`)).status,
        204,
        'it can be erased all the same',
      );
    }
  });
});
