import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { Redis } from 'ioredis';

import type { ExchangeAttempt, Store } from '../../src/stores/ports.ts';
import { startRedis, type RedisProcess } from '../support/processes.ts';
import { startSwallowingProxy, type SwallowingProxy } from '../support/swallowing-proxy.ts';
import { createAttempt, expectUnavailable, findBody, randomKey, sessionNameOf, TAG, until } from './attempts.ts';
import { identityOf, openStoreOn, recordOf, sessionOf, untilReady } from './redis-backend.ts';

/** What a known user with a body of {@link USER_BODY} may take, their place among an app's users included, in bytes. */
const USER_LIMIT_BYTES = 600;
const USER_BODY = '["alice@example.com",1700000000]';
const SHORT_MS = 150;

/** Two users, the first of whom is about to be merged into the second. */
interface Pair {
  readonly guest: ExchangeAttempt;
  readonly merging: ExchangeAttempt;
}

describe('identities in Redis', () => {
  let redis: RedisProcess;
  let proxy: SwallowingProxy;
  let direct: Redis;
  let store: Store;

  before(async () => {
    redis = await startRedis();
    proxy = await startSwallowingProxy(redis.port);
    direct = new Redis(redis.url);
  });
  beforeEach(async () => {
    store = await openStoreOn(redis.url);
  });
  afterEach(async () => {
    await direct.config('SET', 'maxmemory', '0');
    await direct.flushall();
    await store.close();
  });
  after(async () => {
    direct?.disconnect();
    await proxy?.stop();
    await redis?.stop();
  });

  const preparePair = async (isSubActive: boolean, hasJti: boolean): Promise<Pair> => {
    const guest = createAttempt({ identity: { isKept: false } });
    const sub = createAttempt({ identity: { owner: randomUUID() } });
    for (const attempt of isSubActive ? [guest, sub] : [guest]) {
      const { id, conversation } = attempt.identity;
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
      await store.conversations.append(id, conversation, ['said'], 100);
    }
    const { id, owner } = sub.identity;
    const merge = { ids: [guest.identity.id], needsProof: true, proof: sessionNameOf(guest) };
    return { guest, merging: createAttempt({ identity: { id, owner, merge }, ...(hasJti ? {} : { replay: null }) }) };
  };
  /** Everything that the server holds but times, under names that are the same in every run. */
  const describePair = async ({ guest, merging }: Pair): Promise<unknown> => {
    const { id, owner } = merging.identity;
    const session = await store.sessions.find(TAG, merging.session.key);
    return {
      isSubs: session?.identity.id === id,
      isGuestsConversation: session?.identity.conversation === guest.identity.conversation,
      messages: await store.conversations.read(guest.identity.conversation),
      guest: await store.identities.get(guest.identity.id),
      guestSession: await findBody(store, TAG, guest.session.key),
      listed: (await store.identities.list(owner, '', 10)).length,
      keys: await direct.dbsize(),
    };
  };

  for (const isSubActive of [false, true]) {
    test(`a merge into a user who is ${isSubActive ? '' : 'not '}there, executed and never answered: the same in the end`, async () => {
      const sound = await preparePair(isSubActive, true);
      assert.deepEqual(await store.sessions.exchange(sound.merging), { kind: 'granted' });
      const expected = await describePair(sound);
      await direct.flushall();

      const behind = await openStoreOn(`redis://127.0.0.1:${proxy.port}`);
      try {
        const lost = await preparePair(isSubActive, true);
        for (let count = 0; count < 2; count++) {
          proxy.swallowAfter(0);
          await expectUnavailable(behind.sessions.exchange(lost.merging));
          assert.equal(await direct.exists(recordOf(lost.merging), sessionOf(lost.merging)), 2, 'it was not executed');
          proxy.heal();
          await untilReady(behind);
          assert.equal(await direct.exists(recordOf(lost.merging), sessionOf(lost.merging)), 0, 'it was not undone');
        }
        assert.deepEqual(await behind.sessions.exchange(lost.merging), { kind: 'granted' });
        assert.deepEqual(await describePair(lost), expected);
        assert.deepEqual(await behind.sessions.exchange(lost.merging), { kind: 'replayed' });
      } finally {
        await behind.close();
      }
    });
  }

  const shrink = async (): Promise<void> => {
    const used = Number(/^used_memory:(\d+)/m.exec(await direct.info('memory'))?.[1]);
    await direct.config('SET', 'maxmemory', String(Math.floor(used / 2)));
  };

  for (const hasJti of [false, true]) {
    for (const isSubActive of [false, true]) {
      const what = `${hasJti ? 'with' : 'without'} jti, into a user who is ${isSubActive ? '' : 'not '}there`;
      test(`full: a merge ${what} is done whole or not at all`, async () => {
        const sound = await preparePair(isSubActive, hasJti);
        assert.deepEqual(await store.sessions.exchange(sound.merging), { kind: 'granted' });
        const whole = await describePair(sound);
        await direct.flushall();
        const pair = await preparePair(isSubActive, hasJti);
        const nothing = await describePair(pair);
        await shrink();
        const outcome = await store.sessions.exchange(pair.merging).catch(() => undefined);
        assert.deepEqual(await describePair(pair), outcome ? whole : nothing);
        await direct.config('SET', 'maxmemory', '0');
        if (outcome) return;
        assert.deepEqual(await store.sessions.exchange(pair.merging), { kind: 'granted' });
        assert.deepEqual(await describePair(pair), whole);
      });
    }
  }

  test('full: what adds is refused and adds nothing, what takes away works', async () => {
    const { identity } = createAttempt();
    const { id, conversation } = identity;
    await store.sessions.exchange(createAttempt({ identity }));
    await store.conversations.append(id, conversation, ['said'], 100);
    await store.tickets.put('t', 'body', 60_000);
    const before = await direct.dbsize();
    await shrink();
    for (const adding of [
      store.identities.create(createAttempt().identity),
      store.conversations.append(id, conversation, ['a', 'b'], 1),
      store.tickets.put('u', 'body', 60_000),
    ]) {
      assert.match(await expectUnavailable(adding), /OOM/);
    }
    assert.equal(await direct.dbsize(), before);
    assert.deepEqual(await store.conversations.read(conversation), ['said']);
    assert.equal(await store.tickets.take('t'), 'body');
    assert.equal(await store.identities.remove(id), true);
    assert.deepEqual(await store.conversations.read(conversation), []);
    assert.deepEqual(await store.identities.list(identity.owner, '', 10), []);
  });

  test('nothing is left behind: all but known users has an end, and they go with their removal', async () => {
    const lives = { sessionMs: SHORT_MS, replay: { expiresInMs: SHORT_MS } };
    const run = async (isSubKept: boolean): Promise<string> => {
      const guest = createAttempt({ ...lives, identity: { isKept: false, activeMs: SHORT_MS } });
      const sub = createAttempt({ ...lives, identity: { isKept: isSubKept, activeMs: SHORT_MS } });
      const { id } = sub.identity;
      for (const { identity } of [guest, sub]) {
        await store.sessions.exchange(createAttempt({ ...lives, identity }));
        await store.conversations.append(identity.id, identity.conversation, ['said'], 100);
      }
      const merge = { ids: [guest.identity.id], needsProof: false };
      await store.sessions.exchange(createAttempt({ ...lives, identity: { ...sub.identity, merge } }));
      await store.conversations.append(id, guest.identity.conversation, ['more'], 100);
      await store.tickets.put(randomKey(), 'body', SHORT_MS);
      return id;
    };
    const kept: string[] = [];
    for (let round = 0; round < 5; round++) {
      kept.push(await run(true));
      await run(false);
    }
    const owned = ['cs:idns:cs-1', ...kept.map((id) => `cs:idn:${id}`)].toSorted();
    await until(async () => (await direct.dbsize()) === owned.length, 'all that has an end is gone');
    assert.deepEqual((await direct.keys('*')).toSorted(), owned);
    for (const id of kept) assert.equal(await store.identities.remove(id), true);
    assert.equal(await direct.dbsize(), 0);
  });

  test('a known user is small, and so is a guest', async (t) => {
    const users = Array.from({ length: 1_000 }, () => createAttempt({ identity: { body: USER_BODY } }));
    for (let at = 0; at < users.length; at += 100) {
      await Promise.all(users.slice(at, at + 100).map((user) => store.sessions.exchange(user)));
    }
    const guest = createAttempt({ identity: { isKept: false, body: USER_BODY } });
    await store.sessions.exchange(guest);
    const measure = async (key: string): Promise<number> => (await direct.memory('USAGE', key, 'SAMPLES', 0)) ?? NaN;
    const userBytes = await measure(identityOf(users[0] ?? guest));
    const placeBytes = Math.round((await measure('cs:idns:cs-1')) / users.length);
    const guestBytes = await measure(identityOf(guest));
    const sessionBytes = await measure(sessionOf(guest));
    t.diagnostic(
      `a known user takes ${userBytes} B and ${placeBytes} B in the list, a guest ${guestBytes} B, a session with a value of ${guest.session.body.length} B ${sessionBytes} B`,
    );
    assert.ok(userBytes + placeBytes <= USER_LIMIT_BYTES, `${userBytes} + ${placeBytes} B`);
    assert.ok(guestBytes <= USER_LIMIT_BYTES, `${guestBytes} B`);
  });
});
