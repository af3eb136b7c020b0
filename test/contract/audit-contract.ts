import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { AppError } from '../../src/core/errors.ts';
import type { AuditLine, AuditStore } from '../../src/stores/ports.ts';
import { createAttempt } from './attempts.ts';
import { letPass, type Opened } from './opened.ts';

const MINUTE_MS = 60_000;
/** More than a test writes. */
const ALL = 10_000;
/** Later than any clock of a backend, in milliseconds since the epoch. */
const END_OF_TIME_MS = 4_000_000_000_000;
const PAUSE_MS = 20;

const bodiesOf = (lines: readonly AuditLine[]): string[] => lines.map(({ body }) => body);

/** The store's clock, in milliseconds since the epoch. */
async function readClockMs({ store }: Opened): Promise<number> {
  const attempt = createAttempt({ identity: { activeMs: MINUTE_MS } });
  await store.sessions.exchange(attempt);
  const stored = await store.identities.get(attempt.identity.id);
  return (stored?.activeUntilMs ?? assert.fail('the identity is not there')) - MINUTE_MS;
}

/** What every backend owes to the audit trail. */
export function describeAudit(opened: () => Opened): void {
  const audit = (): AuditStore => opened().store.audit;
  const lastId = async (): Promise<string> => (await audit().list({ limit: 1, isNewestFirst: true }))[0]?.id ?? '';

  describe('the audit trail', () => {
    test('lines are had in the order in which they were written, on whichever store, as they were written', async () => {
      const other = await opened().open();
      const after = await lastId();
      const bodies = ['{"act":"\u0000 line\n feed \u2028 😀"}', '', 'ü'.repeat(32_768), 'the last'];
      const ids: string[] = [];
      for (const [index, body] of bodies.entries()) {
        ids.push(await (index % 2 === 0 ? audit() : other.audit).append(body));
      }
      const lines = bodies.map((body, index) => ({ id: ids[index] ?? '', body }));
      assert.deepEqual(await audit().list({ after, limit: ALL }), lines);
      assert.deepEqual(await other.audit.list({ after, limit: ALL, isNewestFirst: true }), lines.toReversed());
    });

    test('a page goes on from behind an id, and a limit is kept', async () => {
      const after = await lastId();
      for (const body of ['a', 'b', 'c', 'd']) await audit().append(body);
      const first = await audit().list({ after, limit: 3 });
      assert.deepEqual(bodiesOf(first), ['a', 'b', 'c']);
      assert.deepEqual(bodiesOf(await audit().list({ after: first.at(-1)?.id ?? '', limit: 3 })), ['d']);
      assert.deepEqual(await audit().list({ after: await lastId(), limit: 3 }), []);
      assert.deepEqual(bodiesOf(await audit().list({ limit: 2, isNewestFirst: true })), ['d', 'c']);
      assert.deepEqual(bodiesOf(await audit().list({ after: first[1]?.id ?? '', limit: 9, isNewestFirst: true })), [
        'd',
        'c',
      ]);
    });

    test('200 lines that are written at once on two stores are all there, each once', async () => {
      const stores = [opened().store, await opened().open()];
      const after = await lastId();
      const bodies = Array.from({ length: 200 }, (_, index) => `line ${index}`);
      const ids = await Promise.all(
        bodies.map((body, index) => (stores[index % 2] ?? opened().store).audit.append(body)),
      );
      const lines = await audit().list({ after, limit: ALL });
      assert.deepEqual(bodiesOf(lines).toSorted(), bodies.toSorted());
      assert.deepEqual(lines.map(({ id }) => id).toSorted(), ids.toSorted());
    });

    test('what was written before a time is dropped, and nothing else; no id comes twice', async () => {
      await audit().append('old');
      const oldId = await lastId();
      await letPass(opened(), PAUSE_MS);
      const boundMs = await readClockMs(opened());
      await audit().append('new');
      await audit().append('newer');

      assert.equal(await audit().expire(0), 0);
      const before = await audit().list({ limit: ALL });
      assert.equal(await audit().expire(boundMs), before.length - 2);
      assert.deepEqual(bodiesOf(await audit().list({ limit: ALL })), ['new', 'newer']);
      assert.deepEqual(bodiesOf(await audit().list({ after: oldId, limit: ALL })), ['new', 'newer']);
      assert.equal(await audit().expire(boundMs), 0);

      const newest = await lastId();
      assert.equal(await audit().expire(END_OF_TIME_MS), 2);
      assert.deepEqual(await audit().list({ limit: ALL }), []);
      await audit().append('after all');
      assert.deepEqual(bodiesOf(await audit().list({ after: newest, limit: ALL })), ['after all']);
    });

    for (const after of ['x', '1 OR 1=1', '-1', '(1', '1-', '+', '9'.repeat(40), '\u0000']) {
      test(`${JSON.stringify(after)} is no id of a line`, async () => {
        await assert.rejects(
          audit().list({ after, limit: 1 }),
          (error: unknown) => error instanceof AppError && error.code === 'invalid_request',
        );
      });
    }
  });
}
