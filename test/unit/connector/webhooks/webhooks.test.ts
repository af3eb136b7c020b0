import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import type { AgentConfig } from '../../../../src/connector/config/agent-config.ts';
import type { ServiceReply } from '../../../../src/connector/service-call.ts';
import { startWebhooks, type Webhooks, type WebhooksDeps } from '../../../../src/connector/webhooks/webhooks.ts';
import { systemClock } from '../../../../src/core/clock.ts';
import { waitUntil } from '../../../support/connector-chain.ts';
import { createTempFolder, getFreePort } from '../../../support/processes.ts';
import { createHeardLog } from './spool-under-test.ts';

const OK: ServiceReply = { status: 200, fields: [], body: '' };

async function start(t: TestContext, changes: Partial<WebhooksDeps> = {}) {
  const folder = await createTempFolder();
  const { log, said } = createHeardLog();
  const port = await getFreePort();
  const config = { webhooks: { port, routes: [{ path: '/alerts', target: 'alerts' }] } } as unknown as AgentConfig;
  const begin = (more: Partial<WebhooksDeps> = {}): Webhooks => {
    const deps = { folder, config: () => config, log, audit: () => undefined, canRecord: () => true, ask: async () => OK, clock: systemClock, random: () => 0, retry: { minRetryMs: 2, maxRetryMs: 20 }, openRetryMs: 20, ...changes, ...more }; // prettier-ignore
    const webhooks = startWebhooks(deps);
    assert.ok(webhooks);
    t.after(() => webhooks.stop());
    return webhooks;
  };
  t.after(() => rm(folder, { recursive: true, force: true }));
  const push = async (body: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${port}/alerts`, { method: 'POST', body, headers: { connection: 'close' } })).status;
  return { folder, said, port, begin, push };
}

const isListening = (webhooks: Webhooks) => (): boolean => webhooks.status().port !== undefined;

describe('the webhooks of an agent', () => {
  it('are not there where none are configured', () => {
    const config = () => ({}) as AgentConfig;
    assert.equal(startWebhooks({ config } as unknown as WebhooksDeps), undefined);
  });

  it('go on with what an earlier agent has left', async (t) => {
    const { begin, push } = await start(t);
    const first = begin({ ask: async () => undefined });
    await waitUntil('it listens', isListening(first));
    assert.deepEqual([await push('1'), await push('2')], [202, 202]);
    assert.deepEqual(first.status().waiting, 2);
    await first.stop();
    const bodies: string[] = [];
    const second = begin({
      ask: async ({ body }) => {
        bodies.push(Buffer.from(body).toString());
        return OK;
      },
    });
    await waitUntil('all are delivered', () => bodies.length === 2 && second.status().waiting === 0);
    assert.deepEqual(bodies, ['1', '2']);
  });

  it('wait for a port that is taken', async (t) => {
    const { begin, push, said, port } = await start(t);
    const other = createServer().listen(port, '127.0.0.1');
    await once(other, 'listening');
    const webhooks = begin();
    await waitUntil('it says so', () => said.includes('critical webhooks cannot be taken; it is tried again'));
    other.close();
    await waitUntil('it listens', isListening(webhooks));
    assert.equal(await push('1'), 202);
  });

  it('wait for a folder that is a file', async (t) => {
    const { begin, said, folder } = await start(t);
    await writeFile(join(folder, 'spool'), '');
    const webhooks = begin();
    await waitUntil('it says so', () => said.includes('critical webhooks cannot be taken; it is tried again'));
    assert.equal(await readFile(join(folder, 'spool'), 'utf8'), '');
    await rm(join(folder, 'spool'));
    await waitUntil('it listens', isListening(webhooks));
    assert.deepEqual((await readdir(join(folder, 'spool'))).sort(), ['failed', 'keys']);
  });

  it('end although nothing could be opened', async (t) => {
    const { begin, folder } = await start(t);
    await writeFile(join(folder, 'spool'), '');
    await begin({ openRetryMs: 60_000 }).stop();
  });
});
