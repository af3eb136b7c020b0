import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';

import { type RelayUnderTest, startRelay, toHead, toMapping } from '../../support/relay-under-test.ts';

const MB = 1_048_576;
const SIZE = 100 * MB;
const PART = Buffer.alloc(65_536, 'abcdefg');
/** What may be under way between the two ends of a relay: windows, queues and the buffers of two sockets. */
const MAX_UNDER_WAY = 40 * MB;

async function withServer(listener: RequestListener, use: (relay: RelayUnderTest) => Promise<void>): Promise<void> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const relay = await startRelay([toMapping((server.address() as AddressInfo).port, { timeoutSeconds: 30 })]);
  try {
    await use(relay);
  } finally {
    relay.stop();
    server.closeAllConnections();
    server.close();
  }
}

/** Writes `SIZE` bytes, as far as `write` allows; `resume` is called when there is room. */
function createPump(write: (part: Buffer) => boolean, end: () => void): { resume(): void; sentBytes(): number } {
  let sent = 0;
  let isEnded = false;
  return {
    sentBytes: () => sent,
    resume: () => {
      while (sent < SIZE) {
        sent += PART.length;
        if (!write(PART)) return;
      }
      if (!isEnded) end();
      isEnded = true;
    },
  };
}

describe('a relay of 100 MB', () => {
  it('brings them down whole', async () => {
    const listener: RequestListener = (_request, response) => {
      const pump = createPump((part) => response.write(part), () => response.end()); // prettier-ignore
      response.on('drain', pump.resume);
      pump.resume();
    };
    await withServer(listener, async (relay) => {
      const call = relay.call(toHead(), true, { isKept: false });
      let bytes = 0;
      call.onPart = (chunk) => {
        bytes += chunk.length;
      };
      assert.equal((await call.answer).isWhole, true);
      assert.equal(bytes, SIZE);
    });
  });

  it('brings them up whole', async () => {
    const listener: RequestListener = (request, response) => {
      const hash = createHash('sha256');
      request.on('data', (chunk: Buffer) => hash.update(chunk)).on('end', () => response.end(hash.digest('hex')));
    };
    await withServer(listener, async (relay) => {
      const call = relay.call(toHead({ method: 'POST', fields: ['Content-Length', String(SIZE)] }), false);
      const pump = createPump((part) => call.stream.write(part), () => call.stream.end()); // prettier-ignore
      call.onDrain = pump.resume;
      pump.resume();
      const expected = createHash('sha256');
      for (let at = 0; at < SIZE; at += PART.length) expected.update(PART);
      assert.equal((await call.answer).body.toString(), expected.digest('hex'));
    });
  });

  it('stops an application whose caller does not read', async () => {
    let pump: ReturnType<typeof createPump> | undefined;
    const { promise: full, resolve } = createSettled();
    const listener: RequestListener = (_request, response) => {
      pump = createPump((part) => {
        const hasRoom = response.write(part);
        if (!hasRoom) resolve();
        return hasRoom;
      }, () => response.end()); // prettier-ignore
      response.on('drain', pump.resume);
      pump.resume();
    };
    await withServer(listener, async (relay) => {
      const call = relay.call(toHead(), true, { isKept: false, isConsumed: false });
      let bytes = 0;
      let waiting = 0;
      call.onPart = (chunk) => {
        bytes += chunk.length;
        waiting += chunk.length;
      };
      await full;
      await settled(() => bytes);
      assert.ok((pump?.sentBytes() ?? SIZE) < MAX_UNDER_WAY, `${pump?.sentBytes()} bytes were taken`);
      call.onPart = (chunk) => {
        bytes += chunk.length;
        call.stream.consumed(chunk.length);
      };
      call.stream.consumed(waiting);
      assert.equal((await call.answer).isWhole, true);
      assert.equal(bytes, SIZE);
    });
  });

  it('stops a caller whose application does not read', async () => {
    let read = (): void => undefined;
    const listener: RequestListener = (request, response) => {
      let bytes = 0;
      read = () => {
        request.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
        });
        request.on('end', () => response.end(String(bytes)));
      };
    };
    await withServer(listener, async (relay) => {
      const call = relay.call(toHead({ method: 'POST' }), false);
      const pump = createPump((part) => call.stream.write(part), () => call.stream.end()); // prettier-ignore
      call.onDrain = pump.resume;
      pump.resume();
      await settled(pump.sentBytes);
      assert.ok(pump.sentBytes() < MAX_UNDER_WAY, `${pump.sentBytes()} bytes were taken`);
      read();
      assert.equal((await call.answer).body.toString(), String(SIZE));
    });
  });
});

function createSettled(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve: () => resolve() };
}

/** Waits until a figure has stood still for many turns of the event loop. */
async function settled(read: () => number): Promise<void> {
  let last = -1;
  for (let still = 0; still < 500; still++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (read() !== last) still = 0;
    last = read();
  }
}
