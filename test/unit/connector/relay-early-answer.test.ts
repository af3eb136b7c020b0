import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { createBackend } from '../../../src/connector/backend.ts';
import { MAX_DROPPED_BYTES } from '../../../src/connector/request-body.ts';
import { startRawBackend, startRelay, toHead, toMapping } from '../../support/relay-under-test.ts';

const TOO_LARGE = 'HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno';

describe('an application that answers early and closes', { timeout: 20_000 }, () => {
  it('is heard, though a part of the body could not be written any more', async () => {
    let onFirst = (): void => undefined;
    const application = await startRawBackend((socket: Socket, _chunk, before) => {
      if (before > 0) return;
      socket.write(TOO_LARGE);
      socket.resetAndDestroy();
      onFirst();
    });
    const backend = createBackend(toMapping(application.port));
    const request = backend.send('POST', '/', ['Content-Length', '2000000']);
    // In the very moment: nobody has read the answer by now.
    onFirst = () => void request.write(Buffer.alloc(65_536));
    request.write(Buffer.alloc(1_000));
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    request.on('error', () => undefined);
    assert.equal(response.statusCode, 413);
    const parts: Buffer[] = await response.toArray();
    assert.equal(Buffer.concat(parts).toString(), 'no');
    backend.retire();
    application.stop();
  });

  it('is never a 502, however the two meet', async () => {
    const application = await startRawBackend((socket: Socket, _chunk, before) => {
      if (before > 0) return;
      socket.write(TOO_LARGE);
      socket.resetAndDestroy();
    });
    const relay = await startRelay([toMapping(application.port)]);
    const statuses = new Set<number | undefined>();
    for (let count = 0; count < 300; count++) {
      const call = relay.call(toHead({ method: 'POST' }), false);
      for (let part = 0; part < 20; part++) call.stream.write(Buffer.alloc(16_384));
      call.stream.end();
      statuses.add((await call.answer).head?.status);
    }
    assert.deepEqual([...statuses], [413]);
    relay.stop();
    application.stop();
  });

  it(`is not sent more than ${MAX_DROPPED_BYTES} bytes in vain: then the request is cut, and told of`, async () => {
    const application = await startRawBackend((socket: Socket, _chunk, before) => {
      if (before === 0) socket.end(TOO_LARGE);
    });
    const relay = await startRelay([toMapping(application.port)]);
    const call = relay.call(toHead({ method: 'POST' }), false);
    const recorded = relay.nextRecord();
    call.stream.write(Buffer.alloc(1_000));
    assert.equal((await call.answer).isWhole, true);
    let sent = 0;
    while (!call.stream.isClosed && sent < 2 * MAX_DROPPED_BYTES) {
      const isFree = call.stream.write(Buffer.alloc(65_536));
      sent += 65_536;
      const drained = new Promise<void>((resolve) => {
        call.onDrain = resolve;
      });
      if (!isFree) await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, 100))]);
    }
    assert.ok(call.stream.isClosed, `${sent} bytes were taken`);
    assert.ok(sent >= MAX_DROPPED_BYTES, `cut after ${sent} bytes`);
    const { status, requestBytes } = await recorded;
    assert.equal(status, 413);
    assert.ok(requestBytes > MAX_DROPPED_BYTES);
    assert.equal(relay.relay.inFlight, 0);
    relay.stop();
    application.stop();
  });

  it('and says nothing is a failure all the same, soon', async () => {
    const application = await startRawBackend((socket: Socket) => void socket.resetAndDestroy());
    const relay = await startRelay([toMapping(application.port)]);
    const call = relay.call(toHead({ method: 'POST' }), false);
    for (let part = 0; part < 20; part++) call.stream.write(Buffer.alloc(65_536));
    const startedAt = performance.now();
    assert.equal((await call.answer).head?.status, 502);
    assert.ok(performance.now() - startedAt < 2_000);
    relay.stop();
    application.stop();
  });
});
