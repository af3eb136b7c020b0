import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { PresenceStore } from '../../src/stores/ports.ts';
import { randomKey, until } from './attempts.ts';
import { letPass, type Opened } from './opened.ts';

/** A life that a test can wait for, in milliseconds. */
const SHORT_MS = 150;
const LONG_MS = 60_000;
/** Longer than any backend takes to tell a change, in milliseconds. */
const QUIET_MS = 400;

/** What every backend owes to processes that tell each other of themselves. */
export function describePresence(opened: () => Opened): void {
  const presence = (): PresenceStore => opened().store.presence;
  const listBodies = async (prefix: string, store = presence()): Promise<string[]> =>
    (await store.list(prefix)).map(({ body }) => body);

  describe('presence', () => {
    test('what an owner says is there for every store, and what it says next replaces it', async () => {
      const other = await opened().open();
      const owner = `${randomKey()}:a`;
      const body = '{"address":"\u0000 line\n feed \u2028 😀"}';
      await presence().announce(owner, body, LONG_MS);
      assert.deepEqual(await other.presence.list(owner), [{ owner, body }]);
      await other.presence.announce(owner, '', LONG_MS);
      assert.deepEqual(await presence().list(owner), [{ owner, body: '' }]);
    });

    test('a list has the owners of its prefix, by ascending owner, and no others', async () => {
      const stem = randomKey();
      const within = ['', ':', ':a', ':a\u0000', ':b', ':ä', ':😀'].map((rest) => `${stem}${rest}`);
      const beside = [stem.slice(0, -1), `x${stem}`, ` ${stem}`, stem.toUpperCase()];
      for (const owner of [...within, ...beside].toReversed()) await presence().announce(owner, owner, LONG_MS);
      assert.deepEqual(await listBodies(stem), within);
      assert.deepEqual(await listBodies(`${stem}:a`), [`${stem}:a`, `${stem}:a\u0000`]);
      assert.deepEqual(await listBodies(`${stem}:c`), []);
      const all = (await presence().list('')).map(({ owner }) => owner);
      assert.deepEqual(
        [...within, ...beside].filter((owner) => !all.includes(owner)),
        [],
      );
      assert.deepEqual(
        all,
        all.toSorted((one, next) => Buffer.compare(Buffer.from(one), Buffer.from(next))),
      );
    });

    test('one that is withdrawn is gone, the others stay; withdrawing it again is nothing', async () => {
      const stem = randomKey();
      for (const name of ['a', 'b']) await presence().announce(`${stem}:${name}`, name, LONG_MS);
      await presence().withdraw(`${stem}:a`);
      await presence().withdraw(`${stem}:a`);
      assert.deepEqual(await listBodies(stem), ['b']);
      await presence().announce(`${stem}:a`, 'again', LONG_MS);
      assert.deepEqual(await listBodies(stem), ['again', 'b']);
    });

    test('one that is not said again in time is gone; saying it again is a new life', async () => {
      const stem = randomKey();
      await presence().announce(`${stem}:short`, 'short', SHORT_MS + 0.5);
      await presence().announce(`${stem}:again`, 'again', SHORT_MS);
      await presence().announce(`${stem}:again`, 'again', LONG_MS);
      await presence().announce(`${stem}:long`, 'long', LONG_MS);
      assert.deepEqual(await listBodies(stem), ['again', 'long', 'short']);
      await letPass(opened(), SHORT_MS + 1);
      assert.deepEqual(await listBodies(stem), ['again', 'long']);
      await presence().announce(`${stem}:short`, 'back', LONG_MS);
      assert.deepEqual(await listBodies(stem), ['again', 'long', 'back']);
    });

    test('a body of 64 KiB and 500 owners come back as they were', async () => {
      const stem = randomKey();
      const owners = Array.from({ length: 500 }, (_, index) => `${stem}:${String(index).padStart(3, '0')}`);
      const large = 'ü'.repeat(32_768);
      await Promise.all(owners.map((owner, index) => presence().announce(owner, index === 7 ? large : owner, LONG_MS)));
      assert.deepEqual(
        await presence().list(stem),
        owners.map((owner, index) => ({ owner, body: index === 7 ? large : owner })),
      );
    });

    /** By another store, or by the watching one itself. */
    const CHANGES: Readonly<Record<string, (store: PresenceStore, owner: string) => Promise<void>>> = {
      'a first body': (store, owner) => store.announce(`${owner}:new`, 'a', LONG_MS),
      'another body': (store, owner) => store.announce(owner, 'b', LONG_MS),
      'a withdrawal': (store, owner) => store.withdraw(owner),
    };
    for (const [name, change] of Object.entries(CHANGES)) {
      for (const who of ['another store', 'the store itself']) {
        test(`a watch sees ${name} by ${who}`, async () => {
          const acting = who === 'another store' ? (await opened().open()).presence : presence();
          const owner = randomKey();
          await presence().announce(owner, 'a', LONG_MS);
          const watched = await watchQuietly(presence());
          try {
            await change(acting, owner);
            await until(() => watched.calls() > 0, 'the change is seen');
          } finally {
            watched.stop();
          }
        });
      }
    }

    for (const who of ['another store', 'the store itself']) {
      test(`a watch is not told what changes nothing, nor anything after it ended: ${who}`, async () => {
        const acting = who === 'another store' ? (await opened().open()).presence : presence();
        const owner = randomKey();
        await acting.announce(owner, 'same', LONG_MS);
        const watched = await watchQuietly(presence());
        try {
          await acting.announce(owner, 'same', LONG_MS);
          await acting.withdraw(randomKey());
          // Told in its turn, behind what the two would have told.
          await acting.announce(owner, 'mark', LONG_MS);
          await until(() => watched.calls() > 0, 'the mark is told');
          assert.equal(watched.calls(), 1);
          watched.stop();
          const other = await watchQuietly(presence());
          await acting.announce(owner, 'mark 2', LONG_MS);
          await until(() => other.calls() > 0, 'the other watch is told');
          other.stop();
          assert.equal(watched.calls(), 1);
        } finally {
          watched.stop();
        }
      });
    }
  });
}

/** Counts what a watch is told from now on; nothing of before is on its way any more. */
async function watchQuietly(store: PresenceStore): Promise<{ calls: () => number; stop: () => void }> {
  let count = 0;
  let lastAtMs = performance.now();
  const stop = store.watch(() => {
    count++;
    lastAtMs = performance.now();
  });
  await until(() => performance.now() - lastAtMs > QUIET_MS, 'it is quiet');
  count = 0;
  return { calls: () => count, stop };
}
