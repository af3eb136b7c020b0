import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { createFakeClock } from '../support/fake-clock.ts';
import { expireAudit } from '../../src/cli/audit-retention.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { createTempFolder, runCountersign } from '../support/processes.ts';
import { type Json, makeFolder, toFolders } from './cli-processes.ts';

const DAY_SECONDS = 86_400;

/** The lines that `countersign audit` prints. */
async function readTrail(env: Record<string, string>, ...flags: readonly string[]): Promise<Json[]> {
  const { code, stdout, stderr } = await runCountersign(['audit', ...flags], env);
  assert.equal(code, 0, stderr);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Json);
}

describe('countersign audit', () => {
  it('prints who did what at the command line, without names of persons', async (t) => {
    const env = toFolders(await makeFolder(t));
    assert.deepEqual(await readTrail(env), []);
    const connector = await runCountersign(['connectors', 'create', '--name', 'PRIVATE'], env);
    const { id } = JSON.parse(connector.stdout) as { id: string };
    await runCountersign(['connectors', 'list'], env);
    await runCountersign(['connectors', 'show', id], env);
    const failed = await runCountersign(['callers', 'delete', 'PRIVATE'], env);
    assert.equal(failed.code, 1);
    await runCountersign(['identities', 'look-up', 'cs-x', '--subject-file', '-'], env, 'PRIVATE');

    const lines = await readTrail(env);
    const who = `user ${userInfo().username}`;
    assert.deepEqual(
      lines.map(({ id: _, at: __, begun: ___, ...rest }) => rest),
      ['connectors create', 'callers delete', 'identities look-up'].flatMap((act, index) => [
        { who, from: 'command line', act, outcome: 'begun' },
        {
          who,
          from: 'command line',
          act,
          ...(index === 0 ? { target: { id }, outcome: 'done' } : { outcome: 'failed' }),
        },
      ]),
    );
    assert.ok(!JSON.stringify(lines).includes('PRIVATE'));
    assert.equal(lines[1]?.['begun'], lines[0]?.['id']);

    await runCountersign(['connectors', 'disable', id], env);
    assert.deepEqual((await readTrail(env, '--limit', '1'))[0]?.['target'], { id });
    assert.deepEqual(
      (await readTrail(env, '--after', String(lines.at(-1)?.['id']))).map(({ outcome }) => outcome),
      ['begun', 'done'],
    );
    assert.equal((await readTrail(env, '--since', '2020-01-01', '--limit', '3')).length, 3);
    assert.deepEqual(await readTrail(env, '--since', '2999-01-01T00:00:00Z'), []);
  });

  for (const flags of [
    ['--limit', '0'],
    ['--limit', 'x'],
    ['--since', 'yesterday'],
    ['--since', '2026-13-01'],
    ['x'],
    ['--x'],
  ]) {
    it(`does not take ${flags.join(' ')}`, async (t) => {
      const { code, stdout } = await runCountersign(['audit', ...flags], toFolders(await makeFolder(t)));
      assert.deepEqual([code, stdout], [2, '']);
    });
  }
});

describe('the expiry of the audit trail', () => {
  it('drops what is too old once a day, by one of all instances, and says so in the trail', async () => {
    const folder = await createTempFolder();
    const clock = createFakeClock(1_767_225_600);
    const open = () => createEmbeddedStore({ path: join(folder, 'a.db'), clock });
    const [store, other] = [open(), open()];
    const readBodies = async (): Promise<Json[]> =>
      (await store.audit.list({ limit: 100 })).map(({ body }) => JSON.parse(body) as Json);
    try {
      await store.audit.append('{"act":"old"}');
      clock.set(clock.nowSeconds() + 30 * DAY_SECONDS);
      await store.audit.append('{"act":"of today"}');
      const counts = await Promise.all([store, other].map((one) => expireAudit(20, { store: one, clock })));
      assert.deepEqual(counts.map((count) => String(count)).toSorted(), ['1', 'undefined']);
      const target = { before: '2026-01-11T00:00:00.000Z' };
      const act = { at: '2026-01-31T00:00:00.000Z', who: 'countersign', from: 'itself', act: 'audit expire', target };
      const bodies = await readBodies();
      assert.deepEqual(bodies, [
        { act: 'of today' },
        { ...act, outcome: 'begun' },
        { ...act, outcome: 'done', begun: bodies[2]?.['begun'], count: 1 },
      ]);
      clock.set(clock.nowSeconds() + DAY_SECONDS);
      assert.equal(await expireAudit(20, { store: other, clock }), 0);
    } finally {
      await Promise.all([store.close(), other.close()]);
      await rm(folder, { recursive: true });
    }
  });
});
