import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it } from 'node:test';

import { WebSocket, WebSocketServer } from 'ws';

import { dropHopByHop } from '../../../src/tunnel/fields.ts';
import {
  type RawBackend,
  type RelayUnderTest,
  startRawBackend,
  startRelay,
  toHead,
  toMapping,
} from '../../support/relay-under-test.ts';

const SWITCH = 'HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const UPGRADE = toHead({ upgrade: 'websocket', target: '/live' });

async function withBackend(
  answer: (socket: Socket, chunk: Buffer, before: number) => void,
  use: (relay: RelayUnderTest, backend: RawBackend) => Promise<void>,
): Promise<void> {
  const backend = await startRawBackend(answer);
  const relay = await startRelay([toMapping(backend.port)]);
  try {
    await use(relay, backend);
  } finally {
    relay.stop();
    backend.stop();
  }
}

describe('an upgraded connection', () => {
  it('carries a real web socket both ways', async () => {
    const server = createServer();
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) =>
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const relay = await startRelay([toMapping((server.address() as AddressInfo).port)]);
    // What a gateway does in front of the tunnel.
    const front = createServer();
    front.on('upgrade', (request, socket) => {
      const call = relay.call({ ...UPGRADE, fields: dropHopByHop(request.rawHeaders, ['host']) }, false);
      void call.head.then(({ status, fields }) => {
        const lines = [`HTTP/1.1 ${status} Yes`, 'Connection: Upgrade', 'Upgrade: websocket'];
        for (let at = 0; at < fields.length; at += 2) lines.push(`${fields[at]}: ${fields[at + 1]}`);
        socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      });
      call.onPart = (chunk) => void socket.write(chunk);
      socket.on('data', (chunk: Buffer) => call.stream.write(chunk)).on('end', () => call.stream.reset('cancelled'));
    });
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    const client = new WebSocket(`ws://127.0.0.1:${(front.address() as AddressInfo).port}/live`);
    await once(client, 'open');
    const message = Buffer.alloc(1_000_000, 7);
    client.send(message);
    const [echo] = (await once(client, 'message')) as [Buffer];
    assert.ok(echo.equals(message));
    const recorded = relay.nextRecord();
    client.terminate();
    assert.equal((await recorded).verdict, 'cancelled');
    front.close();
    sockets.close();
    server.close();
    relay.stop();
  });

  it('begins with what the application sent behind its 101', async () => {
    await withBackend((socket, chunk) => chunk.includes('GET') && socket.write(`${SWITCH}hello`), async (relay) => {
      const call = relay.call(UPGRADE, false);
      await new Promise<void>((resolve) => {
        call.onPart = () => resolve();
      });
      call.stream.reset('cancelled');
      assert.equal((await call.head).status, 101);
    }); // prettier-ignore
  });

  it('sends Connection and Upgrade, and nothing of the caller before the 101', async () => {
    await withBackend(() => undefined, async (relay, backend) => {
      const call = relay.call(UPGRADE, false);
      call.stream.write(Buffer.from('GET /admin HTTP/1.1\r\n\r\n'));
      const answer = await call.answer;
      assert.equal(answer.head?.status, 400);
      assert.doesNotMatch(backend.received(), /admin/);
    }); // prettier-ignore
  });

  it('ends each direction by itself', async () => {
    let resolve: (text: string) => void = () => undefined;
    const received = new Promise<string>((settle) => {
      resolve = settle;
    });
    await withBackend((socket, chunk, at) => {
      if (at > 0) resolve(chunk.toString());
      else socket.end(`${SWITCH}bye`);
    }, async (relay) => {
      const recorded = relay.nextRecord();
      const call = relay.call(UPGRADE, false);
      const answer = await call.answer;
      assert.equal(answer.isWhole, true);
      assert.equal(answer.body.toString(), 'bye');
      call.stream.write(Buffer.from('and on'));
      call.stream.end();
      const { verdict, status, requestBytes, responseBytes } = await recorded;
      assert.deepEqual([verdict, status, requestBytes, responseBytes], ['allowed', 101, 6, 3]);
      assert.equal(await received, 'and on');
    }); // prettier-ignore
  });

  it('hands the end of the caller on, and goes on the other way', async () => {
    await withBackend((socket, _chunk, at) => {
      if (at > 0) return;
      Object.assign(socket, { allowHalfOpen: true });
      socket.write(SWITCH);
      socket.on('end', () => socket.end('the last word'));
    }, async (relay) => {
      const call = relay.call(UPGRADE, false);
      await call.head;
      call.stream.end();
      const answer = await call.answer;
      assert.equal(answer.isWhole, true);
      assert.equal(answer.body.toString(), 'the last word');
    }); // prettier-ignore
  });

  it('is cut where the application resets', async () => {
    await withBackend((socket, _chunk, at) => {
      if (at === 0) socket.write(SWITCH);
      else socket.resetAndDestroy();
    }, async (relay) => {
      const recorded = relay.nextRecord();
      const call = relay.call(UPGRADE, false);
      await call.head;
      call.stream.write(Buffer.from('x'));
      assert.equal((await call.answer).reset, 'backend_failed');
      assert.equal((await recorded).verdict, 'failed');
    }); // prettier-ignore
  });

  it('is closed at the application at once when the caller leaves', async () => {
    let atMs = 0;
    let resolve: (tookMs: number) => void = () => undefined;
    const took = new Promise<number>((settle) => {
      resolve = settle;
    });
    await withBackend((socket) => {
      socket.write(SWITCH);
      socket.on('close', () => resolve(performance.now() - atMs));
    }, async (relay) => {
      const call = relay.call(UPGRADE, false);
      await call.head;
      atMs = performance.now();
      call.stream.reset('cancelled');
      assert.ok((await took) < 100);
      assert.equal(relay.records[0]?.verdict, 'cancelled');
    }); // prettier-ignore
  });

  const OTHER: Record<string, string> = {
    'another protocol': 'HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    'no protocol': 'HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\n\r\n',
  };
  for (const [name, text] of Object.entries(OTHER)) {
    it(`is refused where the application switches to ${name}`, async () => {
      await withBackend((socket) => socket.write(text), async (relay) => {
        const answer = await relay.call(UPGRADE, false).answer;
        assert.equal(answer.head?.connectorError, 'application_failed');
      }); // prettier-ignore
    });
  }
});
