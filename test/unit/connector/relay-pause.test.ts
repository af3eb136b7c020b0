import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { createBackend } from '../../../src/connector/backend.ts';
import { toAccessRule } from '../../../src/connector/config/agent-config.ts';
import { toErrand } from '../../../src/connector/errand.ts';
import { Exchange } from '../../../src/connector/relay-request.ts';
import type { Outcome } from '../../../src/connector/request-record.ts';
import { startRawBackend, toHead, toMapping } from '../../support/relay-under-test.ts';
import { createTunnelPair, openCall } from '../../support/tunnel-pair.ts';

const MAX_PAUSE_MS = 300;
const SIZE = 50_000_000;

/** An application that answers more than anybody holds, and a caller that shall take it. */
async function startAnswer(isLast: boolean, isConsumed: boolean) {
  const closed: Promise<unknown>[] = [];
  const application = await startRawBackend((socket: Socket, _chunk, before) => {
    if (before > 0) return;
    closed.push(new Promise((over) => socket.once('close', over)));
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
    socket.write(Buffer.alloc(SIZE));
  });
  const mapping = toMapping(application.port, { timeoutSeconds: 0.05 });
  let resolve: (outcome: Outcome) => void = () => undefined;
  const outcome = new Promise<Outcome>((tell) => {
    resolve = tell;
  });
  const { gateway, agent } = await createTunnelPair((stream, head, isWhole) => {
    const errand = toErrand(head as never, isWhole, toAccessRule(mapping), createBackend(mapping));
    return new Exchange(stream, errand, isWhole, (told) => resolve(told), MAX_PAUSE_MS);
  });
  const call = openCall(gateway, toHead(isLast ? {} : { method: 'POST' }), isLast, { isKept: false, isConsumed });
  const stop = (): void => {
    for (const end of [gateway, agent]) end.close('drain', 'the test is over');
    application.stop();
  };
  return { call, outcome, closed, stop };
}

describe('a caller that takes nothing of an answer', () => {
  for (const [what, isLast] of Object.entries({ 'has sent all': true, 'goes on sending': false })) {
    it(`loses it in the end, and the application its connection: ${what}`, async () => {
      const { call, outcome, closed, stop } = await startAnswer(isLast, false);
      const sending = isLast ? undefined : setInterval(() => call.stream.write(Buffer.alloc(1)), 10);
      try {
        assert.equal((await call.answer).reset, 'cancelled');
        const { verdict, detail } = await outcome;
        assert.deepEqual([verdict, detail], ['cancelled', 'the caller took nothing for too long']);
        await Promise.all(closed);
      } finally {
        clearInterval(sending);
        stop();
      }
    });
  }

  it('keeps it while it takes a little now and then', async () => {
    const { call, outcome, stop } = await startAnswer(true, false);
    let [waiting, taken] = [0, 0];
    call.onPart = (chunk) => {
      waiting += chunk.length;
    };
    const startedAtMs = performance.now();
    const reading = setInterval(() => {
      // Slow for three times as long as a pause may be, and then as fast as it comes.
      if (performance.now() - startedAtMs < 3 * MAX_PAUSE_MS && taken > 0 && waiting < 65_536) return;
      taken += waiting;
      call.stream.consumed(waiting);
      waiting = 0;
    }, MAX_PAUSE_MS / 6);
    const fast = setTimeout(() => {
      call.onPart = (chunk) => call.stream.consumed(chunk.length);
    }, 3 * MAX_PAUSE_MS);
    try {
      assert.equal((await call.answer).isWhole, true);
      assert.equal((await outcome).verdict, 'allowed');
    } finally {
      clearInterval(reading);
      clearTimeout(fast);
      stop();
    }
  });
});
