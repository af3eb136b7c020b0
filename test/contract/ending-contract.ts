import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Ending, ExchangeAttempt, Store } from '../../src/stores/ports.ts';
import { createAttempt, until } from './attempts.ts';
import { type Opened, toSessionEnding, watchEndings } from './opened.ts';

/** Brings something about on a store. @returns what must have ended */
type Act = (store: Store) => Promise<Ending[]>;

const grant = async (store: Store, attempt: ExchangeAttempt): Promise<ExchangeAttempt> => {
  assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
  return attempt;
};

const ACTS: Readonly<Record<string, Act>> = {
  'a revocation': async (store) => {
    const attempt = await grant(store, createAttempt());
    assert.equal(await store.sessions.revoke(attempt.tag, attempt.session.key), true);
    return [toSessionEnding(attempt)];
  },
  'a removal': async (store) => {
    const { identity } = await grant(store, createAttempt());
    assert.equal(await store.identities.remove(identity.id), true);
    return [{ kind: 'identity', id: identity.id }];
  },
  'a merge': async (store) => {
    const { identity } = await grant(store, createAttempt({ identity: { isKept: false } }));
    await grant(store, createAttempt({ identity: { merge: { ids: [identity.id], needsProof: false } } }));
    return [{ kind: 'identity', id: identity.id }];
  },
  'a merge that drops a conversation off': async (store) => {
    const guest = (await grant(store, createAttempt({ identity: { isKept: false } }))).identity;
    const sub = (await grant(store, createAttempt())).identity;
    const merge = { ids: [guest.id], needsProof: false };
    await grant(store, createAttempt({ identity: { id: sub.id, merge } }));
    return [
      { kind: 'conversation', id: sub.conversation },
      { kind: 'identity', id: guest.id },
    ];
  },
  'nothing that was there': async (store) => {
    assert.equal(await store.sessions.revoke('0000', 'nobody'), false);
    assert.equal(await store.identities.remove('nobody'), false);
    await grant(store, createAttempt());
    return [];
  },
  'odd names': async (store) => {
    const { identity } = await grant(store, createAttempt({ identity: { id: 'a\u0000b 😀\u2028\n' } }));
    assert.equal(await store.identities.remove(identity.id), true);
    return [{ kind: 'identity', id: identity.id }];
  },
};

/** What every backend owes to whoever must know what is over. */
export function describeEndings(opened: () => Opened): void {
  describe('endings', () => {
    for (const [name, act] of Object.entries(ACTS)) {
      test(`${name}: told by the store itself and by another one, and nothing else is`, async () => {
        const [first, second] = [opened().store, await opened().open()];
        const logs = [await watchEndings(first, second), await watchEndings(second, first)];
        try {
          const expected = await act(first);
          for (const log of logs) assert.deepEqual(await log.read(), expected);
        } finally {
          logs.forEach((log) => log.stop());
        }
      });
    }

    test('of 300 revocations in a burst none is missed', async () => {
      const other = await opened().open();
      const attempts = await Promise.all(Array.from({ length: 300 }, () => grant(opened().store, createAttempt())));
      const log = await watchEndings(other, opened().store);
      try {
        await Promise.all(attempts.map(({ tag, session }) => opened().store.sessions.revoke(tag, session.key)));
        const ids = (await log.read()).map(({ id }) => id);
        assert.deepEqual(ids.toSorted(), attempts.map((attempt) => toSessionEnding(attempt).id).toSorted());
      } finally {
        log.stop();
      }
    });

    test('a watcher that was ended is not told; the others are', async () => {
      const store = opened().store;
      const told = { ended: 0, other: 0 };
      const watch = (name: 'ended' | 'other'): (() => void) =>
        store.endings.watch({ onEnding: () => void told[name]++, onGap: () => undefined });
      const [end, stop] = [watch('ended'), watch('other')];
      try {
        await ACTS['a removal']?.(store);
        await until(() => told.ended > 0 && told.other > 0, 'both are told');
        // Another store's ending comes behind whatever of the first one is still on its way.
        const log = await watchEndings(store, await opened().open());
        await log.read();
        log.stop();
        end();
        told.ended = 0;
        told.other = 0;
        await ACTS['a removal']?.(store);
        await until(() => told.other > 0, 'the other is told');
        assert.equal(told.ended, 0);
      } finally {
        stop();
      }
    });
  });
}
