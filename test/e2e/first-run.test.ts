import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { createTempFolder, runCountersign, startCountersign } from '../support/processes.ts';

const ADMIN_TOKEN = 'the-admin-token-of-this-test-000';

async function createFolders(t: TestContext): Promise<Record<string, string>> {
  const folder = await createTempFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  return { COUNTERSIGN_DATA_DIR: join(folder, 'data'), COUNTERSIGN_KEYS_DIR: join(folder, 'keys') };
}

describe('a first run that goes wrong', () => {
  it('has shown the admin token all the same', async (t) => {
    const folders = await createFolders(t);
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    t.after(() => taken.close());
    const { port } = taken.address() as { port: number };
    const ended = await runCountersign(['idproxy'], { ...folders, COUNTERSIGN_IDPROXY_PORT: String(port) });
    assert.equal(ended.code, 1);
    const token = /admin token, shown once and kept nowhere: (\S+)/.exec(ended.stdout)?.[1];
    assert.ok(token, ended.stdout);
    const idproxy = await startCountersign(['idproxy'], folders);
    t.after(() => idproxy.stop());
    assert.doesNotMatch(idproxy.stdout(), /admin token/);
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await fetch(`${idproxy.idproxyUrl}/admin/apps`, { headers })).status, 200);
  });
});

describe('a store that was filled under another master key', () => {
  it('is told by readiness, and by everything that would add to it', async (t) => {
    const folders = await createFolders(t);
    const settings = { ...folders, COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN };
    const first = await startCountersign(['idproxy'], settings);
    assert.equal((await fetch(`${first.idproxyUrl}/readyz`)).status, 200);
    await first.stop();
    await rm(join(folders['COUNTERSIGN_KEYS_DIR'] as string, 'master.key'));

    const second = await startCountersign(['idproxy'], settings);
    t.after(() => second.stop());
    const ready = await fetch(`${second.idproxyUrl}/readyz`);
    assert.equal(ready.status, 503);
    assert.match(await ready.text(), /"keys":"the platform keys cannot be opened/);
    const created = await fetch(`${second.idproxyUrl}/admin/apps`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
      body: '{"name":"A","algorithm":"HS256"}',
    });
    assert.equal(created.status, 500);
    for (const args of [['apps', 'create', '--name', 'A', '--algorithm', 'HS256'], ['start']]) {
      const ended = await runCountersign(args, settings);
      assert.equal(ended.code, 1, args.join(' '));
      assert.match(ended.stderr, /filled under another master key: bring back that master\.key/);
    }
  });
});
