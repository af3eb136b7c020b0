import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';

import type { ExchangeAttempt, IdentityClaim, StoredIdentity } from '../../src/stores/ports.ts';
import { createAttempt, createIdentity, findBody, randomKey, TAG, toFound } from './attempts.ts';
import { letPass, type Opened } from './opened.ts';

/** A life that a test can wait for, in milliseconds. */
const SHORT_MS = 150;

/** What a store tells of an identity that it keeps. */
const toStored = ({ id, owner, isKept, body, conversation }: IdentityClaim, activeUntilMs: number): StoredIdentity => ({
  id,
  owner,
  isKept,
  body,
  conversation,
  activeUntilMs,
});

/** Nearly the same names, none of which a backend may mistake for another. */
const ODD_NAMES: Readonly<Record<string, string>> = {
  'U+0000 inside': 'a\u0000b',
  'another end behind U+0000': 'a\u0000c',
  emoji: '👩‍🚀',
  'no Latin letter': 'ἀλήθεια',
  'a glob': '*[a-z]?',
  'a pattern': '%S+%d(.-)$',
  'a name of Object': '__proto__',
  quotes: `'";--`,
  long: 'x'.repeat(8_192),
};

/** What every backend owes to the users of the apps. */
export function describeIdentities(opened: () => Opened): void {
  const exchange = async (attempt: ExchangeAttempt): Promise<string> =>
    (await opened().store.sessions.exchange(attempt)).kind;
  const get = (id: string): Promise<StoredIdentity | undefined> => opened().store.identities.get(id);
  const list = async (owner: string, after = '', limit = 100): Promise<string[]> =>
    (await opened().store.identities.list(owner, after, limit)).map(({ id }) => id);

  describe('identities', () => {
    test('the first exchange creates one, the next continues it', async () => {
      const first = createAttempt({ identity: { owner: randomUUID(), body: '["älice 😀",1]' } });
      const { id, owner } = first.identity;
      assert.equal(await get(id), undefined);
      assert.equal(await exchange(first), 'granted');
      const stored = await get(id);
      assert.ok(stored && stored.activeUntilMs > 1_600_000_000_000, `${stored?.activeUntilMs}`);
      assert.deepEqual(stored, toStored(first.identity, stored.activeUntilMs));
      assert.deepEqual(await list(owner), [id]);

      const next = createAttempt({ identity: { id, owner, body: 'another' } });
      assert.equal(await exchange(next), 'granted');
      const continued = await get(id);
      assert.equal(continued?.body, first.identity.body, 'the body is that of the beginning');
      assert.equal(continued?.conversation, first.identity.conversation);
      for (const { session } of [first, next]) {
        const found = await opened().store.sessions.find(TAG, session.key);
        assert.deepEqual(found, toFound({ ...first, session }));
      }
      assert.deepEqual(await list(owner), [id]);
    });

    test('one that is not there and may not be created: unknown, and nothing is written', async () => {
      const merged = createAttempt({ identity: { isKept: false } });
      assert.equal(await exchange(merged), 'granted');
      const merge = { ids: [merged.identity.id], needsProof: false };
      const attempt = createAttempt({ identity: { mayCreate: false, owner: randomUUID(), merge } });
      const { id, owner } = attempt.identity;
      assert.deepEqual(await opened().store.sessions.exchange(attempt), { kind: 'unknown' });
      assert.equal(await get(id), undefined);
      assert.deepEqual(await list(owner), []);
      assert.equal(await findBody(opened().store, TAG, attempt.session.key), undefined);
      assert.equal(await findBody(opened().store, TAG, merged.session.key), merged.session.body, 'merged all the same');

      assert.equal(await opened().store.identities.create(attempt.identity), true);
      assert.equal(await exchange(attempt), 'granted', 'the jti was used up');
      assert.equal(await exchange(attempt), 'replayed');
    });

    test('one that is not kept is not listed, and is gone when its time is over; its sessions go with it', async () => {
      const owner = randomUUID();
      const guest = createAttempt({ identity: { isKept: false, owner, activeMs: SHORT_MS } });
      assert.equal(await exchange(guest), 'granted');
      assert.equal((await get(guest.identity.id))?.isKept, false);
      assert.deepEqual(await list(owner), []);
      await opened().afterwards(SHORT_MS + 1, async () => (await get(guest.identity.id)) === undefined);
      assert.equal(await findBody(opened().store, TAG, guest.session.key), undefined);
      assert.equal(await opened().store.identities.remove(guest.identity.id), false);

      const again = createAttempt({ identity: { id: guest.identity.id, isKept: false, owner } });
      assert.equal(await exchange(again), 'granted');
      assert.equal((await get(guest.identity.id))?.conversation, again.identity.conversation);
      assert.equal(await findBody(opened().store, TAG, guest.session.key), undefined, 'it came back to life');
    });

    test('one that is kept outlives its conversation; the next exchange begins another', async () => {
      const first = createAttempt({ identity: { activeMs: SHORT_MS, owner: randomUUID() } });
      const { id } = first.identity;
      assert.equal(await exchange(first), 'granted');
      const untilMs = (await get(id))?.activeUntilMs ?? 0;
      await letPass(opened(), SHORT_MS);
      assert.deepEqual(await get(id), toStored(first.identity, untilMs));
      assert.deepEqual(await list(first.identity.owner, '', 1), [id]);
      const next = createAttempt({ identity: { id } });
      assert.equal(await exchange(next), 'granted');
      assert.equal((await get(id))?.conversation, next.identity.conversation);
      assert.equal((await get(id))?.body, first.identity.body);
      const found = await opened().store.sessions.find(TAG, first.session.key);
      assert.equal(found?.identity.conversation, next.identity.conversation, 'an earlier session is of the same user');
    });

    test('a shorter session takes nothing from the time of a longer one', async () => {
      const long = createAttempt({ identity: { isKept: false } });
      const { id } = long.identity;
      assert.equal(await exchange(long), 'granted');
      const untilMs = (await get(id))?.activeUntilMs;
      const other = createAttempt({ identity: { isKept: false } });
      assert.equal(await exchange(other), 'granted');
      const merge = { ids: [other.identity.id], needsProof: false };
      for (const traits of [{}, { merge }]) {
        const short = createAttempt({ identity: { id, isKept: false, activeMs: SHORT_MS, ...traits } });
        assert.equal(await exchange(short), 'granted');
        assert.equal((await get(id))?.activeUntilMs, untilMs);
      }
      assert.equal((await get(id))?.conversation, other.identity.conversation);
    });

    test('created beforehand: kept, idle, and not created twice', async () => {
      const identity = createIdentity({ owner: randomUUID() });
      assert.equal(await opened().store.identities.create(identity), true);
      assert.deepEqual(await get(identity.id), toStored(identity, 0));
      assert.equal(await opened().store.identities.create({ ...identity, body: 'other' }), false);
      assert.deepEqual(await get(identity.id), toStored(identity, 0));
      const attempt = createAttempt({ identity: { id: identity.id, mayCreate: false } });
      assert.equal(await exchange(attempt), 'granted');
      assert.equal((await get(identity.id))?.body, identity.body);
      assert.equal(await opened().store.identities.create(identity), false);
    });

    test('of 20 that create it at once on two stores one does', async () => {
      const stores = [opened().store, await opened().open()];
      const identity = createIdentity();
      const tries = Array.from({ length: 20 }, (_, index) => ({ ...identity, body: `${index}` }));
      const results = await Promise.all(
        tries.map((one, index) => (stores[index % 2] ?? opened().store).identities.create(one)),
      );
      assert.equal(results.filter(Boolean).length, 1);
      assert.equal((await get(identity.id))?.body, `${results.indexOf(true)}`);
    });

    test('the list goes through the kept ones of one owner, page by page, in the order of their ids', async () => {
      const [owner, near] = [randomUUID(), randomUUID()];
      const ids = Array.from({ length: 25 }, () => randomUUID());
      for (const id of ids) await opened().store.identities.create(createIdentity({ id, owner }));
      await opened().store.identities.create(createIdentity({ owner: near }));
      await opened().store.identities.create(createIdentity({ owner: `${owner}0` }));
      await exchange(createAttempt({ identity: { owner, isKept: false } }));
      const pages: string[][] = [];
      for (let after = ''; pages.length < 5; after = pages.at(-1)?.at(-1) ?? '') {
        const page = await list(owner, after, 10);
        if (page.length === 0) break;
        pages.push(page);
      }
      assert.deepEqual(
        pages.map(({ length }) => length),
        [10, 10, 5],
      );
      assert.deepEqual(pages.flat(), ids.toSorted());
      const whole = await opened().store.identities.list(owner, '', 1);
      assert.deepEqual(whole[0], await get(pages[0]?.[0] ?? ''));
      assert.deepEqual(await list(randomUUID()), []);
    });

    test('a page begins behind an id that is not there any more', async () => {
      const owner = randomUUID();
      const ids = Array.from({ length: 4 }, () => randomUUID()).toSorted();
      for (const id of ids) await opened().store.identities.create(createIdentity({ id, owner }));
      await opened().store.identities.remove(ids[1] ?? '');
      assert.deepEqual(await list(owner, ids[1]), ids.slice(2));
    });

    test('removed: gone from the list, its sessions end, and do not come back with one of the same id', async () => {
      const other = await opened().open();
      const owner = randomUUID();
      const attempts = [createAttempt({ identity: { owner }, replay: { reuseWindowMs: 60_000 } })];
      const id = attempts[0]?.identity.id ?? '';
      attempts.push(createAttempt({ tag: 'ffff', identity: { id, owner } }));
      for (const attempt of attempts) assert.equal(await exchange(attempt), 'granted');
      const findAll = (): Promise<unknown[]> =>
        Promise.all(attempts.map(({ tag, session }) => findBody(opened().store, tag, session.key)));
      assert.deepEqual(await findAll(), ['{"sub":"alice"}', '{"sub":"alice"}']);

      assert.equal(await other.identities.remove(id), true);
      assert.equal(await other.identities.remove(id), false);
      assert.equal(await get(id), undefined);
      assert.deepEqual(await list(owner), []);
      assert.deepEqual(await findAll(), [undefined, undefined]);

      const again = createAttempt({ identity: { id, owner } });
      assert.equal(await exchange(again), 'granted');
      assert.equal((await get(id))?.conversation, again.identity.conversation);
      assert.deepEqual(await findAll(), [undefined, undefined], 'sessions of the one before it');
      assert.deepEqual(await list(owner), [id]);
      for (const attempt of attempts) assert.equal(await exchange(attempt), 'replayed');
    });

    test('removed while it signs in 60 times at once: no session is left without its identity', async () => {
      const other = await opened().open();
      const { id } = createIdentity();
      const attempts = Array.from({ length: 60 }, () => createAttempt({ identity: { id } }));
      const removals: Promise<boolean>[] = [];
      const granted = attempts.map((attempt, index) => {
        if (index % 10 === 5) removals.push(other.identities.remove(id));
        return exchange(attempt);
      });
      assert.deepEqual(new Set(await Promise.all(granted)), new Set(['granted']));
      await Promise.all(removals);
      const now = await get(id);
      for (const { session } of attempts) {
        const found = await opened().store.sessions.find(TAG, session.key);
        if (found) assert.deepEqual([found.identity.id, found.identity.conversation], [id, now?.conversation]);
      }
      assert.equal(await other.identities.remove(id), now !== undefined);
      for (const { session } of attempts) assert.equal(await findBody(opened().store, TAG, session.key), undefined);
    });

    test('a purge deletes what removed identities left of their sessions, and nothing else', async () => {
      const { store } = opened();
      const gone = Array.from({ length: 30 }, () => createAttempt());
      const staying = Array.from({ length: 30 }, () => createAttempt());
      // Its identity is there, but not the one that this session was made for.
      const former = createAttempt();
      for (const attempt of [...gone, ...staying, former]) assert.equal(await exchange(attempt), 'granted');
      for (const { identity } of [...gone, former]) assert.equal(await store.identities.remove(identity.id), true);
      const again = createAttempt({ identity: { id: former.identity.id } });
      assert.equal(await exchange(again), 'granted');
      await store.sessions.purge();
      for (const { session } of [...gone, former]) assert.equal(await store.sessions.revoke(TAG, session.key), false);
      for (const { session } of [...staying, again])
        assert.notEqual(await findBody(store, TAG, session.key), undefined);
    });

    test('odd names stay what they are, and apart', async () => {
      const owner = `odd ${randomKey()} \u0000 😀`;
      const identities = Object.values(ODD_NAMES).map((name) =>
        createIdentity({ id: name, owner, body: name, conversation: `of ${name}` }),
      );
      for (const identity of identities) {
        const attempt = createAttempt({ identity, body: `session of ${identity.id}` });
        assert.equal(await exchange(attempt), 'granted');
        assert.deepEqual(await opened().store.sessions.find(TAG, attempt.session.key), toFound(attempt));
      }
      for (const identity of identities) assert.equal((await get(identity.id))?.body, identity.body);
      const ids = identities.map(({ id }) => Buffer.from(id)).toSorted(Buffer.compare);
      assert.deepEqual(await list(owner), ids.map(String));
      for (const { id } of identities) assert.equal(await opened().store.identities.remove(id), true);
    });
  });
}
