import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';

import type { ExchangeAttempt, ExchangeOutcome, FoundSession, Store } from '../../src/stores/ports.ts';
import { createAttempt, findBody, sessionNameOf, TAG } from './attempts.ts';
import type { Opened } from './opened.ts';

const RACERS = 40;

/** What every backend owes to merges that happen at once. */
export function describeMergeRaces(opened: () => Opened): void {
  const store = (): Store => opened().store;
  const begin = async (): Promise<ExchangeAttempt> => {
    const guest = createAttempt({ identity: { isKept: false } });
    assert.deepEqual(await store().sessions.exchange(guest), { kind: 'granted' });
    await store().conversations.append(guest.identity.id, guest.identity.conversation, ['said'], 100);
    return guest;
  };
  /** All at once, on two stores by turns. */
  const race = async (attempts: readonly ExchangeAttempt[]): Promise<ExchangeOutcome['kind'][]> => {
    const stores = [store(), await opened().open()];
    const outcomes = attempts.map((one, index) => (stores[index % 2] ?? store()).sessions.exchange(one));
    return (await Promise.all(outcomes)).map(({ kind }) => kind);
  };
  const findAll = (attempts: readonly ExchangeAttempt[]): Promise<(FoundSession | undefined)[]> =>
    Promise.all(attempts.map(({ session }) => store().sessions.find(TAG, session.key)));
  const toConversations = (found: readonly (FoundSession | undefined)[]): (string | undefined)[] =>
    found.map((session) => session?.identity.conversation);

  describe('races', () => {
    test(`${RACERS} users merge one guest at once: one gets the conversation`, async () => {
      const guest = await begin();
      const merge = { ids: [guest.identity.id], needsProof: false };
      const attempts = Array.from({ length: RACERS }, () => createAttempt({ identity: { merge } }));
      assert.deepEqual(new Set(await race(attempts)), new Set(['granted']));
      const conversations = toConversations(await findAll(attempts));
      const winners = attempts.filter((_, index) => conversations[index] === guest.identity.conversation);
      assert.equal(winners.length, 1);
      assert.equal(new Set(conversations).size, RACERS, 'two share a conversation');
      for (const [index, { identity }] of attempts.entries()) {
        const isWinner = winners.includes(attempts[index] ?? guest);
        assert.deepEqual(await store().conversations.read(conversations[index] ?? ''), isWinner ? ['said'] : []);
        assert.equal((await store().identities.get(identity.id))?.conversation, conversations[index]);
      }
      assert.equal(await findBody(store(), TAG, guest.session.key), undefined);
    });

    test(`${RACERS} users merge one guest at once with one proof: one is granted first, the others find nobody`, async () => {
      const guest = await begin();
      const merge = { ids: [guest.identity.id], needsProof: true, proof: sessionNameOf(guest) };
      const attempts = Array.from({ length: RACERS }, () => createAttempt({ identity: { merge } }));
      assert.deepEqual(new Set(await race(attempts)), new Set(['granted']));
      const conversations = toConversations(await findAll(attempts));
      assert.equal(conversations.filter((one) => one === guest.identity.conversation).length, 1);
    });

    test(`${RACERS} first sessions of one user at once: one identity, one conversation, all sessions`, async () => {
      const [id, owner] = [randomUUID(), randomUUID()];
      const attempts = Array.from({ length: RACERS }, () => createAttempt({ identity: { id, owner } }));
      assert.deepEqual(new Set(await race(attempts)), new Set(['granted']));
      const found = await findAll(attempts);
      const identity = await store().identities.get(id);
      assert.deepEqual(
        found.map((one) => [one?.identity.id, one?.identity.conversation]),
        attempts.map(() => [id, identity?.conversation]),
      );
      assert.ok(attempts.some((one) => one.identity.conversation === identity?.conversation));
      assert.deepEqual(await store().identities.list(owner, '', 100), [identity]);
    });

    for (const isSubActive of [false, true]) {
      test(`${RACERS} merges of one guest into one user who is ${isSubActive ? '' : 'not '}there: it is continued once`, async () => {
        const guest = await begin();
        const [id, owner] = [randomUUID(), randomUUID()];
        if (isSubActive) await store().sessions.exchange(createAttempt({ identity: { id, owner } }));
        const merge = { ids: [guest.identity.id], needsProof: false };
        const attempts = Array.from({ length: RACERS }, () => createAttempt({ identity: { id, owner, merge } }));
        assert.deepEqual(new Set(await race(attempts)), new Set(['granted']));
        const { conversation } = guest.identity;
        assert.deepEqual(toConversations(await findAll(attempts)), Array(RACERS).fill(conversation));
        assert.deepEqual(await store().conversations.read(conversation), ['said']);
        assert.equal((await store().identities.list(owner, '', 100)).length, 1);
      });
    }

    test('two users that merge each other at once: one is left, with one conversation', async () => {
      for (let round = 0; round < 10; round++) {
        const [one, two] = [await begin(), await begin()];
        const swap = (me: ExchangeAttempt, other: ExchangeAttempt): ExchangeAttempt =>
          createAttempt({ identity: { ...me.identity, merge: { ids: [other.identity.id], needsProof: false } } });
        const attempts = [swap(one, two), swap(two, one)];
        assert.deepEqual(await race(attempts), ['granted', 'granted']);
        const left = await Promise.all(attempts.map(({ identity }) => store().identities.get(identity.id)));
        assert.equal(left.filter(Boolean).length, 1);
        const live = (await findAll(attempts)).filter(Boolean);
        assert.equal(live.length, 1, 'a session without its identity');
        assert.equal(live[0]?.identity.id, left.find(Boolean)?.id);
      }
    });

    test('a guest who goes on signing in while merged: no session is left without its identity', async () => {
      const guest = await begin();
      const { id } = guest.identity;
      const merge = { ids: [id], needsProof: false };
      const attempts = Array.from({ length: RACERS }, (_, index) =>
        createAttempt({ identity: index % 4 === 3 ? { merge } : { id, isKept: false } }),
      );
      assert.deepEqual(new Set(await race(attempts)), new Set(['granted']));
      const found = await findAll(attempts);
      const now = await store().identities.get(id);
      for (const [index, { identity }] of attempts.entries()) {
        const session = found[index];
        if (identity.id !== id) assert.equal(session?.identity.id, identity.id);
        else if (session)
          assert.deepEqual([session.identity.id, session.identity.conversation], [id, now?.conversation]);
      }
    });
  });
}
