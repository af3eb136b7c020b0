import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { ClaimStore } from '../../src/stores/ports.ts';
import { randomKey } from './attempts.ts';
import { letPass, type Opened } from './opened.ts';

/** A life that a test can wait for, in milliseconds. */
const SHORT_MS = 150;
const LONG_MS = 60_000;

/** What every backend owes to names that can be had once. */
export function describeClaims(opened: () => Opened): void {
  const claims = (): ClaimStore => opened().store.claims;

  describe('claims', () => {
    test('a name is had once, on whichever store, and asking for it does not extend its time', async () => {
      const other = await opened().open();
      const key = randomKey();
      assert.equal(await claims().claim(key, SHORT_MS), true);
      assert.equal(await claims().claim(key, LONG_MS), false);
      assert.equal(await other.claims.claim(key, LONG_MS), false);
      await letPass(opened(), SHORT_MS + 1);
      assert.equal(await other.claims.claim(key, LONG_MS), true);
      assert.equal(await claims().claim(key, LONG_MS), false);
    });

    test('one that lives on is not had when another one has expired', async () => {
      const [soon, later] = [randomKey(), randomKey()];
      assert.equal(await claims().claim(later, LONG_MS), true);
      assert.equal(await claims().claim(soon, SHORT_MS + 0.25), true);
      await letPass(opened(), SHORT_MS + 1);
      assert.equal(await claims().claim(soon, LONG_MS), true);
      assert.equal(await claims().claim(later, LONG_MS), false);
    });

    test('of 200 that ask at once on two stores one gets it', async () => {
      const stores = [opened().store, await opened().open()];
      const key = randomKey();
      const outcomes = await Promise.all(
        Array.from({ length: 200 }, (_, index) => (stores[index % 2] ?? opened().store).claims.claim(key, LONG_MS)),
      );
      assert.equal(outcomes.filter(Boolean).length, 1);
    });

    test('names that are nearly the same never meet, nor does a ticket or a replay record of that name', async () => {
      const stem = randomKey();
      await opened().store.tickets.put(stem, 'a ticket', LONG_MS);
      const near = [
        stem,
        `${stem}\u0000`,
        `${stem}\u0000b`,
        ` ${stem}`,
        `${stem}:`,
        stem.toUpperCase(),
        `${stem}😀`,
        '',
      ];
      for (const key of near) assert.equal(await claims().claim(key, LONG_MS), true, key);
      for (const key of near) assert.equal(await claims().claim(key, LONG_MS), false, key);
      assert.equal(await opened().store.tickets.take(stem), 'a ticket');
    });
  });
}
