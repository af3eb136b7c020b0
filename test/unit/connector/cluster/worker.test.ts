import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  createChannel,
  createPortPair,
  type ToPrimary,
  type ToWorker,
} from '../../../../src/connector/cluster/channel.ts';
import { runWorker, STATUS_EVERY_MS } from '../../../../src/connector/cluster/worker.ts';
import { waitUntil } from '../../../support/connector-chain.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';

describe('a worker', () => {
  it('tells a change of its status at once, and many changes together', async () => {
    const [outer, inner] = createPortPair();
    const told: unknown[] = [];
    let status = 0;
    let change = (): void => undefined;
    const channel = createChannel<ToPrimary, ToWorker>(
      outer,
      (message) => {
        if (message.type === 'hello') channel.send({ type: 'start', worker: 1, instance: 'i-1', config: {} });
        if (message.type === 'status') told.push(message.status);
      },
      () => Promise.resolve(),
    );
    const startWorker = ({ onStatusChange }: { readonly onStatusChange: () => void }) => {
      change = () => {
        status++;
        onStatusChange();
      };
      return { reload: () => undefined, status: () => status, stop: () => Promise.resolve() };
    };
    const ended = runWorker(inner, { clock: createFakeClock(1_800_000_000), startWorker });
    await waitUntil('its first status', () => told.length === 1);
    const changedAt = performance.now();
    for (let n = 0; n < 5; n++) change();
    await waitUntil('the change', () => told.length > 1);
    const tookMs = performance.now() - changedAt;
    assert.deepEqual(told, [0, 5]);
    assert.ok(tookMs < STATUS_EVERY_MS / 2, `${tookMs} ms`);
    channel.send({ type: 'stop', graceMs: 0 });
    await ended;
    channel.close();
  });
});
