import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { AppError } from '../../src/core/errors.ts';
import type { ExchangeAttempt, Store } from '../../src/stores/ports.ts';
import {
  createAttempt,
  createIdentity,
  expectUnavailable,
  findBody,
  randomKey,
  randomReplayKey,
  TAG,
  until,
  withOtherSession,
} from './attempts.ts';
import { describeAudit } from './audit-contract.ts';
import { describeClaims } from './claim-contract.ts';
import { describeConversations } from './conversation-contract.ts';
import { describeDocuments } from './document-contract.ts';
import { describeEndings } from './ending-contract.ts';
import { describeIdentities } from './identity-contract.ts';
import { describeMerges } from './merge-contract.ts';
import { describeMergeRaces } from './merge-race-contract.ts';
import type { Opened } from './opened.ts';
import { describePresence } from './presence-contract.ts';
import { describeSealed } from './sealed-contract.ts';
import { describeTickets } from './ticket-contract.ts';

/** One backend under test; every store that it opens sees the same data. */
export interface Backend {
  open(): Promise<Store>;
  /** Lets `ms` pass on the backend's clock, then waits until `isReached` holds, which it must soon. */
  afterwards(ms: number, isReached: () => Promise<boolean>): Promise<void>;
  stop(): Promise<void>;
}

/** A life that a test can wait for, in milliseconds. */
const SHORT_MS = 150;
const WINDOW_MS = 60_000;

/** What every backend owes to whoever uses {@link Store}. */
export function describeStore(name: string, start: () => Promise<Backend>): void {
  describe(`the store contract on ${name}`, () => {
    let backend: Backend;
    let store: Store;
    const opened: Store[] = [];
    const open = async (): Promise<Store> => {
      const another = await backend.open();
      opened.push(another);
      return another;
    };
    const exchange = async (attempt: ExchangeAttempt): Promise<string> => (await store.sessions.exchange(attempt)).kind;

    before(async () => {
      backend = await start();
      store = await backend.open();
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((one) => one.close()));
    });
    after(async () => {
      await store?.close();
      await backend?.stop();
    });

    describe('exchange', () => {
      test('a fresh jti is granted, and its session is found', async () => {
        const attempt = createAttempt({ body: '{"sub":"älice\u0000 😀"}' });
        assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
        assert.equal(await findBody(store, TAG, attempt.session.key), attempt.session.body);
      });

      test('an app that the store does not hold: refused, nothing written, nothing lost; granted once it is there', async () => {
        const good = createAttempt();
        const attempt = createAttempt({ app: randomKey() });
        const [refusal, kind] = await Promise.all([
          expectUnavailable(store.sessions.exchange(attempt)),
          exchange(good),
        ]);
        assert.match(refusal, /does not hold the app/);
        assert.equal(kind, 'granted', 'another one of the same turn went with it');
        assert.equal(await findBody(store, TAG, attempt.session.key), undefined);
        assert.equal(await store.identities.get(attempt.identity.id), undefined);
        await store.documents.insert('apps', attempt.app ?? '', '{}');
        assert.equal(await exchange(attempt), 'granted');
        await store.documents.remove('apps', attempt.app ?? '');
        await expectUnavailable(store.sessions.exchange(attempt));
        await store.documents.insert('apps', attempt.app ?? '', '{}');
        assert.equal(await exchange(attempt), 'replayed');
        await store.documents.remove('apps', attempt.app ?? '');
      });

      test('the same jti again is a replay, and writes nothing', async () => {
        const attempt = createAttempt();
        assert.equal(await exchange(attempt), 'granted');
        const changed = { ...attempt, session: { ...attempt.session, body: 'changed' } };
        assert.deepEqual(await store.sessions.exchange(changed), { kind: 'replayed' });
        assert.equal(await findBody(store, TAG, attempt.session.key), attempt.session.body);
        const other = withOtherSession(attempt);
        assert.equal(await exchange(other), 'replayed');
        assert.equal(await findBody(store, TAG, other.session.key), undefined);
        const stranger = { ...attempt, identity: createIdentity() };
        assert.equal(await exchange(stranger), 'replayed');
        assert.equal(await store.identities.get(stranger.identity.id), undefined);
      });

      test('within the reuse window the first session is had again', async () => {
        const attempt = createAttempt({ body: 'first', replay: { reuseWindowMs: WINDOW_MS } });
        assert.equal(await exchange(attempt), 'granted');
        const again = { ...attempt, session: { ...attempt.session, body: 'second' } };
        assert.deepEqual(await store.sessions.exchange(again), { kind: 'reused', body: 'first' });
        assert.deepEqual(await store.sessions.exchange(again), { kind: 'reused', body: 'first' });
      });

      test('outside the reuse window it is a replay; reuse does not extend the window', async () => {
        const attempt = createAttempt({ replay: { reuseWindowMs: SHORT_MS } });
        assert.equal(await exchange(attempt), 'granted');
        await backend.afterwards(SHORT_MS + 1, async () => (await exchange(attempt)) === 'replayed');
        assert.equal(await findBody(store, TAG, attempt.session.key), attempt.session.body);
      });

      test('nothing is reused after the session was revoked', async () => {
        const attempt = createAttempt({ replay: { reuseWindowMs: WINDOW_MS } });
        assert.equal(await exchange(attempt), 'granted');
        assert.equal(await store.sessions.revoke(TAG, attempt.session.key), true);
        assert.equal(await exchange(attempt), 'replayed');
      });

      test('another assertion with the same jti does not get the session', async () => {
        const attempt = createAttempt({ replay: { reuseWindowMs: WINDOW_MS } });
        const other = withOtherSession(attempt);
        assert.equal(await exchange(attempt), 'granted');
        assert.equal(await exchange(other), 'replayed');
        assert.equal(await findBody(store, TAG, other.session.key), undefined);
      });

      test('an assertion without jti is granted every time', async () => {
        const attempt = createAttempt({ replay: null });
        assert.equal(await exchange(attempt), 'granted');
        assert.equal(await exchange(attempt), 'granted');
        assert.equal(await findBody(store, TAG, attempt.session.key), attempt.session.body);
      });

      test('a jti that an earlier format recorded is taken, wherever it stands in the list', async () => {
        const formerKeys = [randomReplayKey(), randomReplayKey(), randomReplayKey()];
        const former = createAttempt({ replay: { key: formerKeys[1] ?? '' } });
        assert.equal(await exchange(former), 'granted');
        const upgraded = createAttempt({ replay: { formerKeys, reuseWindowMs: WINDOW_MS } });
        assert.equal(await exchange(upgraded), 'replayed');
        assert.equal(await findBody(store, TAG, upgraded.session.key), undefined);
        const untaken = createAttempt({ replay: { formerKeys: [randomReplayKey()] } });
        assert.equal(await exchange(untaken), 'granted');
      });

      test('a former record that has expired takes nothing', async () => {
        const former = createAttempt({ replay: { expiresInMs: SHORT_MS } });
        assert.equal(await exchange(former), 'granted');
        const formerKeys = [former.replay?.key ?? ''];
        const upgraded = (): Promise<string> => exchange(createAttempt({ replay: { formerKeys } }));
        await backend.afterwards(SHORT_MS, async () => (await upgraded()) === 'granted');
      });

      test('a replay record ends with its life, others stay', async () => {
        const attempt = createAttempt({ replay: { expiresInMs: SHORT_MS } });
        const lasting = createAttempt();
        assert.equal(await exchange(attempt), 'granted');
        assert.equal(await exchange(lasting), 'granted');
        await backend.afterwards(SHORT_MS, async () => (await exchange(attempt)) === 'granted');
        assert.equal(await exchange(lasting), 'replayed');
      });

      test('a fraction of a millisecond is a life', async () => {
        const attempt = createAttempt({ sessionMs: 50_000.25, replay: { expiresInMs: 0.25 } });
        assert.equal(await exchange(attempt), 'granted');
        await backend.afterwards(1, async () => (await exchange(withOtherSession(attempt))) === 'granted');
      });

      test('keys that are nearly the same never meet', async () => {
        const stem = randomReplayKey();
        const near = [
          stem,
          `${stem}0`,
          `${stem} `,
          `${stem}:`,
          `${stem}\u0000`,
          ` ${stem}`,
          stem.toUpperCase(),
          `${stem}%`,
        ];
        for (const key of near) assert.equal(await exchange(createAttempt({ replay: { key } })), 'granted', key);
        for (const key of near) assert.equal(await exchange(createAttempt({ replay: { key } })), 'replayed', key);
      });

      test('shifting the boundary between two keys makes other keys', async () => {
        const stem = randomKey();
        const first = createAttempt({ body: 'first', sessionKey: `c${stem}`, replay: { key: `jti:v1:${stem}ab` } });
        const second = createAttempt({ body: 'second', sessionKey: `bc${stem}`, replay: { key: `jti:v1:${stem}a` } });
        assert.equal(await exchange(first), 'granted');
        assert.equal(await exchange(second), 'granted');
        assert.equal(await findBody(store, TAG, first.session.key), 'first');
        assert.equal(await findBody(store, TAG, second.session.key), 'second');
      });

      test('a session and a replay record of one name do not meet', async () => {
        const key = randomReplayKey();
        const attempt = createAttempt({ body: 'mine', sessionKey: key, replay: { key } });
        assert.equal(await exchange(attempt), 'granted');
        assert.equal(await findBody(store, TAG, key), 'mine');
        assert.equal(await store.sessions.revoke(TAG, key), true);
        assert.equal(await exchange(attempt), 'replayed');
      });

      test('200 at once on two stores: one is granted, and only its session exists', async () => {
        const stores = [store, await open()];
        const key = randomReplayKey();
        const attempts = Array.from({ length: 200 }, () => createAttempt({ replay: { key } }));
        const outcomes = await Promise.all(
          attempts.map((attempt, index) => (stores[index % 2] ?? store).sessions.exchange(attempt)),
        );
        const granted = attempts.filter((_, index) => outcomes[index]?.kind === 'granted');
        assert.equal(granted.length, 1);
        assert.equal(outcomes.filter(({ kind }) => kind === 'replayed').length, 199);
        const found = await Promise.all(attempts.map(({ session }) => findBody(store, TAG, session.key)));
        assert.equal(found.filter((body) => body !== undefined).length, 1);
        assert.notEqual(found[attempts.indexOf(granted[0] ?? createAttempt())], undefined);
        const users = await Promise.all(attempts.map(({ identity }) => store.identities.get(identity.id)));
        assert.deepEqual(
          users.map((user) => user?.id),
          attempts.map((attempt) => (granted.includes(attempt) ? attempt.identity.id : undefined)),
        );
      });

      test('closing while busy finishes what was begun: what was granted is kept, the rest can come again', async () => {
        const closing = await open();
        const attempts = Array.from({ length: 300 }, () => createAttempt());
        const pending = attempts.map((attempt) =>
          closing.sessions.exchange(attempt).then(
            ({ kind }) => kind,
            (error: unknown) => (error instanceof AppError ? error.code : assert.fail(String(error))),
          ),
        );
        await closing.close();
        const outcomes = await Promise.all(pending);
        assert.ok(
          outcomes.every((outcome) => outcome === 'granted' || outcome === 'store_unavailable'),
          outcomes.join(),
        );
        assert.ok(outcomes.includes('granted'), 'nothing was finished');
        for (const [index, attempt] of attempts.entries()) {
          assert.equal(await exchange(attempt), outcomes[index] === 'granted' ? 'replayed' : 'granted');
          assert.equal(await findBody(store, TAG, attempt.session.key), attempt.session.body);
        }
      });
    });

    describe('sessions', () => {
      test('an unknown session is neither found nor revoked', async () => {
        assert.equal(await findBody(store, TAG, randomKey()), undefined);
        assert.equal(await store.sessions.revoke(TAG, randomKey()), false);
      });

      test('a revoked session is gone for every store, and cannot be revoked twice', async () => {
        const other = await open();
        const attempt = createAttempt();
        await store.sessions.exchange(attempt);
        assert.equal(await findBody(other, TAG, attempt.session.key), attempt.session.body);
        assert.equal(await other.sessions.revoke(TAG, attempt.session.key), true);
        assert.equal(await findBody(store, TAG, attempt.session.key), undefined);
        assert.equal(await store.sessions.revoke(TAG, attempt.session.key), false);
      });

      test('a session ends with its life: not found, not revoked, not reused', async () => {
        const attempt = createAttempt({ sessionMs: SHORT_MS, replay: { reuseWindowMs: WINDOW_MS } });
        const { key } = attempt.session;
        assert.equal(await exchange(attempt), 'granted');
        await backend.afterwards(SHORT_MS, async () => (await findBody(store, TAG, key)) === undefined);
        assert.equal(await store.sessions.revoke(TAG, key), false);
        assert.equal(await exchange(attempt), 'replayed');
      });

      test('a body of 64 KiB comes back as it was', async () => {
        const attempt = createAttempt({ body: 'ü'.repeat(32_768) });
        assert.equal(await exchange(attempt), 'granted');
        assert.equal(await findBody(store, TAG, attempt.session.key), attempt.session.body);
      });
    });

    describe('life', () => {
      test('an open store is ready and says what it is', async () => {
        assert.deepEqual(await store.health(), { isReady: true });
        assert.match(store.description, /^(?:embedded|redis) \(.+\)$/);
      });

      test('a closed store refuses everything, and can be closed again', async () => {
        const closed = await backend.open();
        await closed.close();
        await expectUnavailable(closed.sessions.exchange(createAttempt()));
        await expectUnavailable(closed.sessions.find(TAG, randomKey()));
        await expectUnavailable(closed.sessions.revoke(TAG, randomKey()));
        await expectUnavailable(closed.identities.create(createIdentity()));
        await expectUnavailable(closed.identities.get('a'));
        await expectUnavailable(closed.identities.list('a', '', 1));
        await expectUnavailable(closed.identities.remove('a'));
        await expectUnavailable(closed.conversations.append('a', 'b', ['c'], 1));
        await expectUnavailable(closed.conversations.read('b'));
        await expectUnavailable(closed.tickets.put('a', 'b', 1_000));
        await expectUnavailable(closed.tickets.take('a'));
        await expectUnavailable(closed.documents.list('apps'));
        await expectUnavailable(closed.documents.get('apps', 'a'));
        await expectUnavailable(closed.documents.insert('apps', 'a', '{}'));
        await expectUnavailable(closed.presence.announce('a', 'b', 1_000));
        await expectUnavailable(closed.presence.withdraw('a'));
        await expectUnavailable(closed.presence.list(''));
        await expectUnavailable(closed.claims.claim('a', 1_000));
        await expectUnavailable(closed.audit.append('{}'));
        await expectUnavailable(closed.audit.list({ limit: 1 }));
        await expectUnavailable(closed.audit.expire(0));
        const health = await closed.health();
        assert.equal(health.isReady, false);
        await closed.close();
      });

      test('what was stored is there for a store that is opened later', async () => {
        const first = await backend.open();
        const attempt = createAttempt();
        assert.deepEqual(await first.sessions.exchange(attempt), { kind: 'granted' });
        await first.close();
        const second = await open();
        assert.deepEqual(await second.sessions.exchange(attempt), { kind: 'replayed' });
        await until(
          async () => (await findBody(second, TAG, attempt.session.key)) !== undefined,
          'the session is found',
        );
      });
    });

    const context = (): Opened => ({ store, open, afterwards: backend.afterwards });
    describeDocuments(context);
    describeIdentities(context);
    describeMerges(context);
    describeMergeRaces(context);
    describeConversations(context);
    describeTickets(context);
    describeSealed(context);
    describeEndings(context);
    describePresence(context);
    describeClaims(context);
    describeAudit(context);
  });
}
