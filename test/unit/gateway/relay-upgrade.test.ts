import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';

import type { ResponseHead } from '../../../src/tunnel/messages.ts';
import { type CallerPort, readToEnd, startCallerPort, TOKEN, waitUntilCut } from './caller-port.ts';
import type { FakeStream } from './fake-way.ts';

const SWITCH: ResponseHead = { status: 101, reason: 'Switching Protocols', fields: [] };
/** How soon the application hears that a caller has left, in milliseconds. */
const HEARD_WITHIN_MS = 100;

const toUpgrade = (token = TOKEN): string =>
  'GET http://crm.virtual:8080/api/live HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  `Proxy-Authorization: Bearer ${token}\r\n\r\n`;

describe('an upgrade on the caller port', { timeout: 30_000 }, () => {
  let port: CallerPort;
  beforeEach(async () => {
    port = await startCallerPort();
  });
  afterEach(() => port.stop());

  const waitForReset = async (stream: FakeStream): Promise<number> => {
    const startedAt = performance.now();
    while (stream.resetWith === undefined && performance.now() - startedAt < 2_000) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.equal(stream.resetWith, 'cancelled');
    return performance.now() - startedAt;
  };

  it('does not keep the connection of a stranger who never ends it', async () => {
    const socket = port.send(toUpgrade('csc_wrong'), { allowHalfOpen: true });
    assert.match(await readToEnd(socket), /^HTTP\/1\.1 407 /);
    await waitUntilCut(socket);
  });

  it('does not keep the connection behind another answer than 101', async () => {
    const socket = port.send(toUpgrade(), { allowHalfOpen: true });
    const { handlers } = await port.waitForStream();
    handlers.onResponse?.({ status: 426, reason: 'No', fields: ['Content-Length', '2'] });
    handlers.onData(Buffer.from('no'));
    handlers.onEnd([]);
    assert.match(await readToEnd(socket), /^HTTP\/1\.1 426 No\r\n.*no$/s);
    await waitUntilCut(socket);
  });

  it('lets whoever reads slowly have the whole of another answer', async () => {
    const socket = port.send(toUpgrade()).pause();
    const { handlers } = await port.waitForStream();
    const body = Buffer.alloc(8_000_000, 'x');
    handlers.onResponse?.({ status: 403, reason: 'No', fields: ['Content-Length', String(body.length)] });
    handlers.onData(body);
    handlers.onEnd([]);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    assert.ok((await readToEnd(socket)).endsWith(`\r\n\r\n${body.toString()}`));
  });

  const LEAVING: Readonly<Record<string, (socket: Socket) => void>> = {
    'ends his connection': (socket) => socket.end(),
    'resets it': (socket) => socket.resetAndDestroy(),
    'ends it after he said something': (socket) => socket.end('early'),
  };
  for (const [name, leave] of Object.entries(LEAVING)) {
    it(`is over for the application where the caller ${name} before the answer`, async () => {
      const socket = port.send(toUpgrade());
      const stream = await port.waitForStream();
      leave(socket);
      const ms = await waitForReset(stream);
      assert.ok(ms < HEARD_WITHIN_MS, `${ms} ms`);
    });
  }

  it('hands over what the caller said before the answer, and behind it, in order', async () => {
    const socket = port.send(`${toUpgrade()}one `);
    const stream = await port.waitForStream();
    socket.write('two ');
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(stream.written, '', 'nothing goes before the answer');
    stream.handlers.onResponse?.(SWITCH);
    await once(socket, 'data');
    socket.write('three');
    while (!stream.written.endsWith('three')) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(stream.written, 'one two three');
  });

  it('holds little of what comes before the answer, and loses nothing of it', async () => {
    const socket = port.send(toUpgrade());
    const stream = await port.waitForStream();
    const early = 'e'.repeat(20_000_000);
    socket.write(early);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(socket.writableLength > 0, 'the rest waits at the caller');
    stream.handlers.onResponse?.(SWITCH);
    while (stream.written.length < early.length) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(stream.written.length, early.length);
  });

  it('ends one direction by itself once it is answered', async () => {
    const socket = port.send(toUpgrade(), { allowHalfOpen: true });
    const stream = await port.waitForStream();
    stream.handlers.onResponse?.(SWITCH);
    await once(socket, 'data');
    socket.end('last');
    while (stream.ended === undefined) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([stream.written, stream.resetWith], ['last', undefined]);
    stream.handlers.onData(Buffer.from('answer'));
    const rest = readToEnd(socket);
    stream.handlers.onEnd([]);
    assert.equal(await rest, 'answer');
  });
});
