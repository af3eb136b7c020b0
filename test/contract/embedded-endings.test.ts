import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { DatabaseSync } from '@photostructure/sqlite';

import { systemClock } from '../../src/core/clock.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import type { Store } from '../../src/stores/ports.ts';
import { describeChild, startChild } from '../support/child.ts';
import { createTempFolder } from '../support/processes.ts';
import { createAttempt, expectUnavailable, until } from './attempts.ts';

const WORKER = fileURLToPath(new URL('./embedded-worker.js', import.meta.url));

describe('endings in a database file', () => {
  let folder: string;
  let path: string;
  let store: Store;
  let told: string[];

  beforeEach(async () => {
    folder = await createTempFolder();
    path = join(folder, 'countersign.db');
    store = createEmbeddedStore({ path, clock: systemClock });
    told = [];
    store.endings.watch({ onEnding: ({ kind, id }) => told.push(`${kind} ${id}`), onGap: () => told.push('gap') });
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  test('what another process ended is told, each once and in its order', async () => {
    const worker = await startChild({ command: process.execPath, args: [WORKER, path, 'end'], cwd: folder });
    assert.equal((await worker.exited).code, 0, describeChild(worker));
    const ended = worker.stdout().trimEnd().split('\n');
    assert.deepEqual(
      ended.map((line) => line.split(' ')[0]),
      ['session', 'identity', 'conversation', 'identity'],
    );
    await until(() => told.length >= ended.length, 'all are told');
    assert.deepEqual(told, ended);
  });

  test('a store that is opened later is told nothing of before', async () => {
    const { identity } = createAttempt();
    await store.identities.create(identity);
    await store.identities.remove(identity.id);
    const late: string[] = [];
    const other = createEmbeddedStore({ path, clock: systemClock });
    try {
      other.endings.watch({ onEnding: ({ id }) => late.push(id), onGap: () => late.push('gap') });
      const next = createAttempt().identity;
      await store.identities.create(next);
      await store.identities.remove(next.id);
      await until(() => late.length > 0, 'the next one is told');
      assert.deepEqual(late, [next.id]);
    } finally {
      await other.close();
    }
  });

  test('what was rolled back is neither told nor a gap', async () => {
    const [first, second] = [createAttempt().identity, createAttempt().identity];
    for (const identity of [first, second]) await store.identities.create(identity);
    const failing = [
      store.identities.remove(first.id),
      store.sessions.exchange(createAttempt({ sessionMs: Number.NaN })),
    ];
    for (const call of failing) await expectUnavailable(call);
    assert.equal((await store.identities.get(first.id))?.id, first.id);
    await store.identities.remove(second.id);
    await until(() => told.length > 0, 'the second is told');
    assert.deepEqual(told, [`identity ${second.id}`]);
  });

  /** What a process finds that looks when endings are swept already. */
  const SWEPT: Readonly<Record<string, { keep: string; told: string[] }>> = {
    'all of them': { keep: '0', told: ['gap'] },
    'all but the last': { keep: "CAST(id AS TEXT) = 'c'", told: ['gap', 'identity c'] },
    'one in the middle': { keep: "CAST(id AS TEXT) <> 'b'", told: ['gap', 'identity a', 'identity c'] },
  };
  for (const [what, { keep, told: expected }] of Object.entries(SWEPT)) {
    test(`endings that were swept before they were seen (${what}) are a gap, once`, async () => {
      const { identity } = createAttempt();
      const other = new DatabaseSync(path);
      try {
        const insert = `INSERT INTO endings (kind, id, expires_at_ms) VALUES ('identity', CAST(? AS BLOB), 0)`;
        other.exec('BEGIN IMMEDIATE');
        for (const id of ['a', 'b', 'c']) other.prepare(insert).run(id);
        other.exec(`DELETE FROM endings WHERE NOT (${keep})`);
        other.exec('COMMIT');
      } finally {
        other.close();
      }
      await until(() => told.length > 0, 'the gap is told');
      assert.deepEqual(told, expected);
      await store.identities.create(identity);
      await store.identities.remove(identity.id);
      await until(() => told.length > expected.length, 'the next one is told');
      assert.deepEqual(told, [...expected, `identity ${identity.id}`]);
    });
  }
});
