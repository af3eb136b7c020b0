import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';

import type { ExchangeAttempt, ExchangeOutcome, MergeClaim, SessionName, Store } from '../../src/stores/ports.ts';
import { createAttempt, findBody, randomKey, sessionNameOf, TAG, toFound, withOtherSession } from './attempts.ts';
import { letPass, type Opened, watchEndings } from './opened.ts';

/** A life that a test can wait for, in milliseconds. */
const SHORT_MS = 150;
const KEEP = 100;

/** `known`: there, without a conversation that goes on; `active`: with one. */
type State = 'absent' | 'known' | 'active';

interface Row {
  readonly merged: State;
  readonly sub: State;
  /** Whose conversation goes on. */
  readonly goesOn: 'merged' | 'sub' | 'new';
  readonly isDroppedOff?: true;
}

/** Every state of the two, under the row of the table that it falls into. */
const ROWS: Readonly<Record<string, Row>> = {
  'neither exists: new identity, new conversation': { merged: 'absent', sub: 'absent', goesOn: 'new' },
  'only sub exists: it starts': { merged: 'absent', sub: 'known', goesOn: 'new' },
  'only sub exists, active: it continues': { merged: 'absent', sub: 'active', goesOn: 'sub' },
  'only the merged one exists, active: sub is created and continues it': {
    merged: 'active',
    sub: 'absent',
    goesOn: 'merged',
  },
  'only the merged one exists, without a conversation: sub is created': {
    merged: 'known',
    sub: 'absent',
    goesOn: 'new',
  },
  'both exist, sub has no active session: the conversation continues under sub': {
    merged: 'active',
    sub: 'known',
    goesOn: 'merged',
  },
  'both exist, the merged one has no active session: sub continues its own': {
    merged: 'known',
    sub: 'active',
    goesOn: 'sub',
  },
  'both exist, neither is active: sub starts': { merged: 'known', sub: 'known', goesOn: 'new' },
  'both are active: the conversation of the merged one wins, the one of sub is dropped off': {
    merged: 'active',
    sub: 'active',
    goesOn: 'merged',
    isDroppedOff: true,
  },
};

/** What every backend owes to an identity that is taken over by another one. */
export function describeMerges(opened: () => Opened): void {
  const store = (): Store => opened().store;
  const exchange = (attempt: ExchangeAttempt): Promise<ExchangeOutcome> => store().sessions.exchange(attempt);
  const grant = async (attempt: ExchangeAttempt): Promise<ExchangeAttempt> => {
    assert.deepEqual(await exchange(attempt), { kind: 'granted' });
    return attempt;
  };
  /** An identity in that state, and a message in its conversation. */
  const prepare = async (state: State, isKept: boolean, owner: string): Promise<ExchangeAttempt> => {
    const attempt = createAttempt({ identity: { owner, isKept } });
    const { id, conversation } = attempt.identity;
    if (state === 'known') await store().identities.create(attempt.identity);
    if (state === 'active') {
      await grant(attempt);
      await store().conversations.append(id, conversation, [`said in ${conversation}`], KEEP);
    }
    return attempt;
  };
  const toMerging = (sub: ExchangeAttempt, merge: Partial<MergeClaim>): ExchangeAttempt =>
    createAttempt({
      identity: { ...sub.identity, conversation: randomUUID(), merge: { ids: [], needsProof: false, ...merge } },
    });

  describe('merges', () => {
    for (const [name, { merged: mergedState, sub: subState, goesOn, isDroppedOff }] of Object.entries(ROWS)) {
      test(name, async () => {
        const owner = randomUUID();
        const other = await opened().open();
        const merged = await prepare(mergedState, mergedState === 'known', owner);
        const sub = await prepare(subState, true, owner);
        const merging = toMerging(sub, { ids: [merged.identity.id] });
        const endings = await watchEndings(store(), other);
        try {
          await grant(merging);
          const conversation = {
            merged: merged.identity.conversation,
            sub: sub.identity.conversation,
            new: merging.identity.conversation,
          }[goesOn];
          const { id } = sub.identity;
          assert.deepEqual(await other.sessions.find(TAG, merging.session.key), toFound(merging, conversation));
          assert.equal((await other.identities.get(id))?.conversation, conversation);
          assert.deepEqual(
            (await other.identities.list(owner, '', KEEP)).map((one) => one.id),
            [id],
          );
          const earlier = await other.sessions.find(TAG, sub.session.key);
          assert.deepEqual(earlier, subState === 'active' ? toFound(sub, conversation) : undefined);

          // SECURITY: a bearer of the merged identity never becomes one of sub.
          assert.equal(await other.sessions.find(TAG, merged.session.key), undefined);
          assert.equal(await other.identities.get(merged.identity.id), undefined);

          const said = goesOn === 'new' ? [] : [`said in ${conversation}`];
          assert.deepEqual(await other.conversations.read(conversation), said);
          for (const { identity } of [merged, sub]) {
            if (identity.conversation !== conversation) {
              assert.deepEqual(await other.conversations.read(identity.conversation), []);
            }
          }
          await other.conversations.append(id, conversation, ['more'], KEEP);
          assert.deepEqual(await store().conversations.read(conversation), [...said, 'more']);

          assert.deepEqual(
            (await endings.read()).toSorted((one, two) => (one.kind < two.kind ? -1 : 1)),
            [
              ...(isDroppedOff ? [{ kind: 'conversation', id: sub.identity.conversation }] : []),
              ...(mergedState === 'absent' ? [] : [{ kind: 'identity', id: merged.identity.id }]),
            ],
          );
        } finally {
          endings.stop();
        }
      });
    }

    test('one whose conversation is over is removed all the same, and its conversation stays over', async () => {
      const merged = createAttempt({ identity: { activeMs: SHORT_MS } });
      await grant(merged);
      const { id, conversation } = merged.identity;
      await store().conversations.append(id, conversation, ['said'], KEEP);
      await letPass(opened(), SHORT_MS);
      const merging = toMerging(createAttempt(), { ids: [id] });
      await grant(merging);
      assert.equal((await store().identities.get(merging.identity.id))?.conversation, merging.identity.conversation);
      assert.equal(await store().identities.get(id), undefined);
      assert.deepEqual(await store().conversations.read(conversation), []);
    });

    test('a guest whose time is over is not there any more', async () => {
      const guest = await grant(createAttempt({ identity: { isKept: false, activeMs: SHORT_MS } }));
      await letPass(opened(), SHORT_MS);
      const merging = toMerging(createAttempt(), { ids: [guest.identity.id], needsProof: true });
      await grant(merging);
      assert.equal((await store().identities.get(merging.identity.id))?.conversation, merging.identity.conversation);
    });

    test('a merged identity that comes back is another one: its sessions and its conversation stay where they are', async () => {
      const guest = await prepare('active', false, randomUUID());
      const merging = toMerging(createAttempt(), { ids: [guest.identity.id] });
      await grant(merging);
      const back = createAttempt({ identity: { id: guest.identity.id, isKept: false } });
      await grant(back);
      assert.equal(await findBody(store(), TAG, guest.session.key), undefined);
      assert.equal((await store().identities.get(guest.identity.id))?.conversation, back.identity.conversation);
      assert.equal((await store().identities.get(merging.identity.id))?.conversation, guest.identity.conversation);
    });

    test('a merge into oneself changes nothing', async () => {
      const sub = await prepare('active', true, randomUUID());
      const endings = await watchEndings(store(), await opened().open());
      try {
        await grant(toMerging(sub, { ids: [sub.identity.id], needsProof: true }));
        const { conversation } = sub.identity;
        assert.equal((await store().sessions.find(TAG, sub.session.key))?.identity.conversation, conversation);
        assert.deepEqual(await store().conversations.read(conversation), [`said in ${conversation}`]);
        assert.deepEqual(await endings.read(), []);
      } finally {
        endings.stop();
      }
    });

    test('of several ids the first that exists is taken, and no other', async () => {
      const owner = randomUUID();
      const [first, second] = [await prepare('active', false, owner), await prepare('active', true, owner)];
      const sub = createAttempt({ identity: { owner } });
      const ids = [randomUUID(), sub.identity.id, first.identity.id, second.identity.id];
      const merging = await grant(toMerging(sub, { ids }));
      const found = await store().sessions.find(TAG, merging.session.key);
      assert.equal(found?.identity.conversation, first.identity.conversation);
      assert.equal(await store().identities.get(first.identity.id), undefined);
      assert.equal(await findBody(store(), TAG, second.session.key), second.session.body);
    });

    test('a replay merges nothing, and neither does a session that is had again', async () => {
      const sub = createAttempt({ replay: { reuseWindowMs: 60_000 } });
      await grant(sub);
      const guest = await prepare('active', false, randomUUID());
      const merge = { ids: [guest.identity.id], needsProof: false };
      const again = { ...sub, identity: { ...sub.identity, merge } };
      assert.deepEqual(await exchange(again), { kind: 'reused', body: sub.session.body });
      assert.deepEqual(await exchange(withOtherSession(again)), { kind: 'replayed' });
      assert.equal(await findBody(store(), TAG, guest.session.key), guest.session.body);
    });

    test('a live session of the merged identity is proof', async () => {
      const guest = await prepare('active', false, randomUUID());
      const another = await grant(createAttempt({ tag: 'ffff', identity: { id: guest.identity.id, isKept: false } }));
      const proof = sessionNameOf(another);
      const merging = await grant(toMerging(createAttempt(), { ids: [guest.identity.id], needsProof: true, proof }));
      const found = await store().sessions.find(TAG, merging.session.key);
      assert.equal(found?.identity.conversation, guest.identity.conversation);
    });

    /** Names that prove nothing, each made for one guest. */
    const NO_PROOF: Readonly<
      Record<string, (guest: ExchangeAttempt, sub: ExchangeAttempt) => Promise<SessionName | undefined>>
    > = {
      'none at all': () => Promise.resolve(undefined),
      'one that never was': () => Promise.resolve({ tag: TAG, key: randomKey() }),
      'an empty name': () => Promise.resolve({ tag: '', key: '' }),
      "another user's": async () => sessionNameOf(await grant(createAttempt())),
      "sub's own": async (_guest, { identity: { id, owner } }) =>
        sessionNameOf(await grant(createAttempt({ identity: { id, owner } }))),
      'one that was revoked': async ({ identity: { id } }) => {
        const name = sessionNameOf(await grant(createAttempt({ identity: { id, isKept: false } })));
        assert.equal(await store().sessions.revoke(name.tag, name.key), true);
        return name;
      },
      'one that has expired': async ({ identity: { id } }) => {
        const name = sessionNameOf(
          await grant(createAttempt({ sessionMs: SHORT_MS, identity: { id, isKept: false } })),
        );
        await letPass(opened(), SHORT_MS);
        return name;
      },
      'one of an earlier incarnation': async ({ identity, session }) => {
        await store().identities.remove(identity.id);
        await grant(
          createAttempt({ identity: { id: identity.id, isKept: false, conversation: identity.conversation } }),
        );
        return { tag: TAG, key: session.key };
      },
    };
    for (const [what, toProof] of Object.entries(NO_PROOF)) {
      test(`a proof that does not hold (${what}): unproven, and nothing is written`, async () => {
        const guest = await grant(createAttempt({ identity: { isKept: false } }));
        const sub = createAttempt({ identity: { owner: randomUUID() } });
        const { id, conversation } = guest.identity;
        const proof = await toProof(guest, sub);
        const before = await store().identities.get(sub.identity.id);
        const live = await grant(createAttempt({ identity: { id, isKept: false } }));
        await store().conversations.append(id, conversation, ['said'], KEEP);
        const merging = toMerging(sub, { ids: [id], needsProof: true, ...(proof && { proof }) });
        assert.deepEqual(await exchange(merging), { kind: 'unproven' });

        assert.deepEqual(await store().identities.get(sub.identity.id), before);
        assert.equal(await findBody(store(), TAG, merging.session.key), undefined);
        assert.equal((await store().sessions.find(TAG, live.session.key))?.identity.conversation, conversation);
        assert.deepEqual(await store().conversations.read(conversation), ['said']);
        const merge = { ids: [id], needsProof: true, proof: sessionNameOf(live) };
        await grant({ ...merging, identity: { ...merging.identity, merge } });
        assert.equal((await store().sessions.find(TAG, merging.session.key))?.identity.conversation, conversation);
      });
    }

    test('where there is nobody to merge no proof is asked for', async () => {
      const merging = toMerging(createAttempt(), { ids: [randomUUID(), randomUUID()], needsProof: true });
      await grant(merging);
      assert.notEqual(await findBody(store(), TAG, merging.session.key), undefined);
    });

    test('odd names merge as others do', async () => {
      const guest = createAttempt({ identity: { id: `\u0000😀${randomUUID()}`, isKept: false } });
      const sub = createAttempt({ identity: { id: `\u0000👩‍🚀${'x'.repeat(4_096)}${randomUUID()}` } });
      await grant(guest);
      const merge = { ids: ['', '\u0000', guest.identity.id], needsProof: true, proof: sessionNameOf(guest) };
      const merging = await grant(toMerging(sub, merge));
      const found = await store().sessions.find(TAG, merging.session.key);
      assert.deepEqual(found, toFound(merging, guest.identity.conversation));
    });
  });
}
