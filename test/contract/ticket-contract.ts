import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { TicketStore } from '../../src/stores/ports.ts';
import { randomKey } from './attempts.ts';
import { letPass, type Opened } from './opened.ts';

/** A life that a test can wait for, in milliseconds. */
const SHORT_MS = 150;
const LONG_MS = 60_000;

/** What every backend owes to things that are used once. */
export function describeTickets(opened: () => Opened): void {
  const tickets = (): TicketStore => opened().store.tickets;

  describe('tickets', () => {
    test('one is taken once, as it was put', async () => {
      const key = randomKey();
      const body = '{"sid":"\u0000 line\n feed \u2028 😀"}';
      await tickets().put(key, body, LONG_MS);
      assert.equal(await tickets().take(key), body);
      assert.equal(await tickets().take(key), undefined);
    });

    test('one that never was is not there', async () => {
      assert.equal(await tickets().take(randomKey()), undefined);
    });

    test('an empty body and one of 64 KiB are bodies', async () => {
      for (const body of ['', 'ü'.repeat(32_768)]) {
        const key = randomKey();
        await tickets().put(key, body, LONG_MS);
        assert.equal(await tickets().take(key), body);
      }
    });

    test('of 100 that take it at once on two stores one gets it', async () => {
      const stores = [opened().store, await opened().open()];
      const key = randomKey();
      await tickets().put(key, 'mine', LONG_MS);
      const taken = await Promise.all(
        Array.from({ length: 100 }, (_, index) => (stores[index % 2] ?? opened().store).tickets.take(key)),
      );
      assert.deepEqual(
        taken.filter((body) => body !== undefined),
        ['mine'],
      );
    });

    test('one that has expired is gone, another is still there', async () => {
      const keys = [randomKey(), randomKey()] as const;
      await tickets().put(keys[1], 'later', LONG_MS);
      await tickets().put(keys[0], 'soon', SHORT_MS + 0.5);
      await letPass(opened(), SHORT_MS + 1);
      assert.equal(await tickets().take(keys[0]), undefined);
      assert.equal(await tickets().take(keys[1]), 'later');
    });

    test('keys that are nearly the same never meet', async () => {
      const stem = randomKey();
      const near = [stem, `${stem}\u0000`, `${stem}\u0000b`, ` ${stem}`, stem.toUpperCase(), `${stem}😀`];
      for (const key of near) await tickets().put(key, `body of ${key}`, LONG_MS);
      for (const key of near) assert.equal(await tickets().take(key), `body of ${key}`);
    });
  });
}
