import assert from 'node:assert/strict';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import type { ServiceReply, ServiceRequest } from '../../../../src/connector/service-call.ts';
import {
  createDeliverer,
  MAX_BLOCKING_FAILURES,
  MAX_DELIVERIES,
  MAX_WEBHOOK_AGE_SECONDS,
} from '../../../../src/connector/webhooks/deliver.ts';
import { openSpool, type Spool } from '../../../../src/connector/webhooks/spool.ts';
import { findField, parseWebhookPath } from '../../../../src/tunnel/services.ts';
import { waitUntil } from '../../../support/connector-chain.ts';
import { createHeardLog, type SpoolUnderTest, startSpool, toPush } from './spool-under-test.ts';

const OK: ServiceReply = { status: 200, fields: [], body: '' };
const toFault = (status: number, connectorError?: string, fields: readonly string[] = []): ServiceReply => ({
  status,
  fields,
  body: JSON.stringify({ errors: [{ msg: 'no', code: status }] }),
  ...(connectorError && { connectorError }),
});

type Ask = (
  text: string,
  attempt: number,
  target: string,
) => ServiceReply | undefined | Promise<ServiceReply | undefined>;

/** A deliverer whose gateway is a function. */
async function start(t: TestContext, ask: Ask, { maxRetryMs = 20 } = {}) {
  const under: SpoolUnderTest = await startSpool(t);
  const { log, said } = createHeardLog();
  const asked: { text: string; id: string | undefined }[] = [];
  const audits: Readonly<Record<string, unknown>>[] = [];
  let inFlight = 0;
  let most = 0;
  const deliverer = createDeliverer(() => spool, {
    ask: async ({ target, fields, body }: ServiceRequest) => {
      const text = Buffer.from(body).toString();
      asked.push({ text, id: findField(fields, 'webhook-id') });
      most = Math.max(most, ++inFlight);
      try {
        return await ask(text, asked.filter((one) => one.text === text).length, parseWebhookPath(target) ?? '');
      } finally {
        inFlight--;
      }
    },
    clock: under.clock,
    random: (below) => below - 1,
    log,
    audit: (fields) => void audits.push(fields),
    minRetryMs: 2,
    maxRetryMs,
  });
  const spool: Spool = await openSpool(under.folder, { clock: under.clock, log, onAdded: deliverer.add });
  t.after(() => deliverer.stop());
  const texts = (): string[] => asked.map(({ text }) => text);
  return { ...under, spool, deliverer, asked, texts, audits, said, most: () => most };
}

describe('the delivery of webhooks', () => {
  it('sends each message once, in order, and forgets it only then', async (t) => {
    const { spool, texts, audits, folder, asked } = await start(t, () => OK);
    const ids = [];
    for (const text of ['1', '2', '3']) ids.push((await spool.add(toPush(text))).id);
    await waitUntil('all are gone', () => spool.count === 0);
    assert.deepEqual(texts(), ['1', '2', '3']);
    assert.deepEqual(asked.map(({ id }) => id), ids); // prettier-ignore
    assert.deepEqual(audits.map(({ verdict, id, bytes, status }) => [verdict, id, bytes, status]), ids.map((id) => ['delivered', id, 1, 200])); // prettier-ignore
    assert.deepEqual((await readdir(folder)).sort(), ['failed', 'keys']);
  });

  const later: Record<string, ServiceReply | undefined | Error> = {
    'no gateway': undefined,
    'a stream that was cut': new Error('lost'),
    'a target that answers 408': toFault(408),
    'a target that answers 425': toFault(425),
    'a target that answers 429': toFault(429),
    'a target that answers 503': toFault(503),
    'a target that the gateway does not reach': toFault(502, 'service_unreachable'),
    'a target that is too slow': toFault(504, 'service_timeout'),
    'a target that is not on the list': toFault(403, 'service_url_forbidden'),
    'a connector that is disabled': toFault(409, 'connector_not_enabled'),
    'a gateway without places': toFault(503, 'busy', ['Retry-After', '0']),
  };
  for (const [what, reply] of Object.entries(later)) {
    it(`tries again, in order and with the same id, after ${what}`, async (t) => {
      const { spool, texts, asked, said } = await start(t, (text, attempt) => {
        if (text !== '1' || attempt > 3) return OK;
        if (reply instanceof Error) throw reply;
        return reply;
      });
      const { id } = await spool.add(toPush('1'));
      await spool.add(toPush('2'));
      await waitUntil('all are gone', () => spool.count === 0);
      assert.deepEqual(texts(), ['1', '1', '1', '1', '2']);
      assert.deepEqual(new Set(asked.slice(0, 4).map((one) => one.id)), new Set([id]));
      assert.deepEqual(said.filter((line) => !line.startsWith('debug')), [
        'warn a webhook is not delivered yet and is tried again',
        'info webhooks of a target are delivered again',
      ]); // prettier-ignore
    });
  }

  const final: Record<string, ServiceReply> = {
    'a target that answers 400': toFault(400),
    'a target that answers 401': toFault(401),
    'a target that answers 404': toFault(404),
    'a target that answers 410': toFault(410),
    'a gateway that finds it too large': toFault(413, 'body_too_large'),
    'a gateway that cannot read it': toFault(400, 'invalid_request'),
  };
  for (const [what, reply] of Object.entries(final)) {
    it(`sets a message aside after ${what}`, async (t) => {
      const { spool, texts, audits, said, folder } = await start(t, (text) => (text === '1' ? reply : OK));
      await spool.add(toPush('1'));
      await spool.add(toPush('2'));
      await waitUntil('all are gone', () => spool.count === 0);
      assert.deepEqual(texts(), ['1', '2']);
      assert.deepEqual(audits.map(({ verdict, status }) => [verdict, status]), [['failed', reply.status], ['delivered', 200]]); // prettier-ignore
      assert.deepEqual(said, ['critical a webhook could not be delivered; it is kept in spool/failed']);
      assert.equal((await readdir(join(folder, 'failed'))).length, 1);
    });
  }

  it('a message that always fails is overtaken, and tried on', async (t) => {
    const { spool, texts } = await start(t, (text) => (text === 'bad' ? toFault(500) : OK), { maxRetryMs: 40 });
    await spool.add(toPush('bad'));
    await spool.add(toPush('2'));
    await spool.add(toPush('3'));
    await waitUntil('the others are gone', () => spool.count === 1);
    const tries = Array.from({ length: MAX_BLOCKING_FAILURES }, () => 'bad');
    assert.deepEqual(texts().slice(0, MAX_BLOCKING_FAILURES + 1), [...tries, '2']);
    const before = texts().length;
    await waitUntil('it is tried on', () => texts().length > before + 1);
  });

  it('a target that fails does not keep the others, and so many are on their way at most', async (t) => {
    let open: () => void = () => undefined;
    const isOpen = new Promise<void>((resolve) => (open = resolve));
    const { spool, most, texts } = await start(t, async (_, __, target) => {
      if (target === 'down') return toFault(503);
      await isOpen;
      return OK;
    });
    await spool.add(toPush('x', { target: 'down' }));
    for (let n = 0; n < MAX_DELIVERIES + 4; n++) {
      for (const part of ['a', 'b']) await spool.add(toPush(`${n}${part}`, { target: `https://t.example/${n}?x=1` }));
    }
    await waitUntil('all places are taken', () => most() === MAX_DELIVERIES);
    open();
    await waitUntil('all but one are gone', () => spool.count === 1);
    assert.equal(most(), MAX_DELIVERIES);
    for (let n = 0; n < MAX_DELIVERIES + 4; n++) assert.ok(texts().indexOf(`${n}a`) < texts().indexOf(`${n}b`));
  });

  it('Retry-After is waited for', async (t) => {
    const times: number[] = [];
    const { spool } = await start(t, () => {
      times.push(performance.now());
      return times.length === 1 ? toFault(503, undefined, ['Retry-After', '3600']) : OK;
    }, { maxRetryMs: 300 }); // prettier-ignore
    await spool.add(toPush('1'));
    await waitUntil('it is gone', () => spool.count === 0);
    // Up to the longest wait.
    assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 295);
  });

  it('a message that has become too old is set aside', async (t) => {
    const { spool, deliverer, clock, audits, folder } = await start(t, () => undefined);
    await spool.add(toPush('1'));
    deliverer.check();
    clock.set(clock.nowSeconds() + MAX_WEBHOOK_AGE_SECONDS + 1);
    await spool.add(toPush('2'));
    await waitUntil('it is set aside', () => {
      deliverer.check();
      return spool.count === 1;
    });
    assert.deepEqual(audits.map(({ verdict, why }) => [verdict, why]), [['failed', 'it has become too old']]); // prettier-ignore
    assert.equal((await readdir(join(folder, 'failed'))).length, 1);
  });

  it('the age of a message outlasts the process', async (t) => {
    const { spool, folder, clock, again } = await start(t, () => undefined);
    await spool.add(toPush('1'));
    const at = clock.nowSeconds() - 1_000;
    await utimes(join(folder, '0000000000000001.msg'), at, at);
    assert.equal(Math.round((await again()).entries()[0]?.acceptedAt ?? 0), Math.round(at));
  });

  it('a file that was damaged meanwhile is set aside', async (t) => {
    let isBroken = false;
    const { spool, folder, texts, audits } = await start(t, () => (isBroken ? OK : undefined));
    await spool.add(toPush('1'));
    await spool.add(toPush('2'));
    await writeFile(join(folder, '0000000000000001.msg'), 'something else');
    isBroken = true;
    await waitUntil('both are gone', () => spool.count === 0);
    assert.equal(texts().at(-1), '2');
    assert.deepEqual(audits.map(({ verdict }) => verdict), ['failed', 'delivered']); // prettier-ignore
  });

  it('begins nothing once it is stopped, and waits for what is on its way', async (t) => {
    let open: () => void = () => undefined;
    const isOpen = new Promise<void>((resolve) => (open = resolve));
    const { spool, deliverer, texts } = await start(t, async () => {
      await isOpen;
      return OK;
    });
    await spool.add(toPush('1'));
    await spool.add(toPush('2'));
    await waitUntil('one is on its way', () => texts().length === 1);
    const stopped = deliverer.stop();
    open();
    await stopped;
    assert.deepEqual([texts(), spool.count], [['1'], 1]);
  });
});
