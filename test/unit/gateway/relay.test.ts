import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, it } from 'node:test';

import type { Connector } from '../../../src/gateway/connector.ts';
import { createCallerShares } from '../../../src/gateway/caller-shares.ts';
import type { DispatchDeps } from '../../../src/gateway/dispatch.ts';
import type { Call } from '../../../src/gateway/find-ways.ts';
import { MAX_TIMEOUT_SECONDS } from '../../../src/connector/config/access-control.ts';
import { RELAY_LIMITS } from '../../../src/gateway/relay-limits.ts';
import type { RelayRecord } from '../../../src/gateway/relay-record.ts';
import { Relay } from '../../../src/gateway/relay.ts';
import type { Agent } from '../../../src/gateway/roster.ts';
import type { ResponseHead } from '../../../src/tunnel/messages.ts';
import { createFakeWay, type FakeStream, type FakeWay } from './fake-way.ts';

const UPLOAD_IDLE_MS = 150;
const READ_IDLE_MS = 800;
const IDLE_MS = 2_400;
const CALLER = { id: 'cl-1', name: 'bot', tokenHash: '', createdAt: 0 };
const OK: ResponseHead = { status: 200, reason: 'OK', fields: [] };

describe('relaying a request', () => {
  let way: FakeWay;
  let server: Server;
  let record: Promise<RelayRecord>;
  const sockets: Socket[] = [];
  /** The gateway's end of the caller's connection. */
  let accepted: Socket;

  beforeEach(async () => {
    way = createFakeWay('a');
    const deps: DispatchDeps = {
      directory: {
        findConnector: (id) => ({ id, enabled: true }) as Connector,
        listEnabled: () => ['cn-1'],
        refreshOnMiss: async () => undefined,
      },
      roster: {
        findByConnector: () => [way] as unknown as Agent[],
      },
      remote: { find: async () => [] },
      shares: createCallerShares(10),
    };
    const call: Omit<Call, 'method'> = { host: 'crm.virtual', port: 8080, target: '/api/x', caller: CALLER };
    record = new Promise((resolve) => {
      server = createServer((req, res) => {
        accepted = req.socket;
        const limits = { idleMs: IDLE_MS, uploadIdleMs: UPLOAD_IDLE_MS, readIdleMs: READ_IDLE_MS };
        const relay = new Relay(req, res, resolve, limits);
        relay.start(deps, () => ({ ...call, method: req.method ?? '' }), 'request-1');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  const send = (bytes: string): Socket => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    sockets.push(socket.on('error', () => undefined));
    socket.write(bytes);
    return socket;
  };
  const waitForStream = async (): Promise<FakeStream> => {
    for (;;) {
      const [stream] = way.streams;
      if (stream) return stream;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const GET = 'GET /api/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';

  it('waits for an application, and then no more', async () => {
    send(GET);
    const stream = await waitForStream();
    const { durationMs, isAborted } = await record;
    assert.ok(durationMs > IDLE_MS - 50, `${durationMs} ms`);
    assert.deepEqual([stream.resetWith, isAborted], ['cancelled', true]);
  });

  it('waits again behind each part of an answer', async () => {
    const socket = send(GET);
    const received = text(socket);
    const stream = await waitForStream();
    stream.handlers.onResponse?.({ ...OK, fields: ['Content-Length', '3'] });
    for (const part of ['a', 'b', 'c']) {
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS * 0.6));
      stream.handlers.onData(Buffer.from(part));
    }
    stream.handlers.onEnd([]);
    assert.match(await received, /abc$/);
  });

  it('waits less for a caller who takes nothing of his answer', async () => {
    send(GET).pause();
    const stream = await waitForStream();
    stream.handlers.onResponse?.({ ...OK, fields: ['Content-Length', '20000000'] });
    stream.handlers.onData(Buffer.alloc(20_000_000));
    stream.handlers.onEnd([]);
    const { durationMs } = await record;
    assert.ok(durationMs < IDLE_MS, `${durationMs} ms`);
  });

  it('waits for the application again once the caller has taken all', async () => {
    const socket = send(GET).pause();
    const stream = await waitForStream();
    stream.handlers.onResponse?.({ ...OK, fields: ['Content-Length', '20000001'] });
    stream.handlers.onData(Buffer.alloc(20_000_000));
    socket.resume();
    const received = text(socket);
    while (accepted.writableLength > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 1.5 * READ_IDLE_MS));
    stream.handlers.onData(Buffer.from('!'));
    stream.handlers.onEnd([]);
    assert.match(await received, /!$/);
  });

  it('waits longer than any application may take', () => {
    assert.ok(RELAY_LIMITS.idleMs > MAX_TIMEOUT_SECONDS * 1_000);
  });

  it('cuts a caller who falls silent in the middle of a body', async () => {
    send('POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345');
    const stream = await waitForStream();
    const { isAborted, requestBytes } = await record;
    assert.deepEqual([stream.resetWith, stream.ended, isAborted, requestBytes], ['cancelled', undefined, true, 5]);
  });

  it('does not cut one whose body nobody takes', async () => {
    const socket = send('POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n');
    const stream = await waitForStream();
    Object.assign(stream, { write: () => false });
    socket.write('12345');
    await new Promise((resolve) => setTimeout(resolve, 4 * UPLOAD_IDLE_MS));
    assert.equal(stream.resetWith, undefined);
    stream.handlers.onDrain?.();
    await record;
    assert.equal(stream.resetWith, 'cancelled', 'from then on it is waited for again');
  });

  /** Answers that are not what their head says: the connection is cut, so that nobody takes them for whole. */
  const BROKEN: Readonly<Record<string, { head: ResponseHead; body: string; isCutByPeer?: boolean }>> = {
    'is shorter than its length': { head: { ...OK, fields: ['Content-Length', '10'] }, body: '12345' },
    'is longer than its length': { head: { ...OK, fields: ['Content-Length', '3'] }, body: '12345' },
    'is cut in the middle, with a length': {
      head: { ...OK, fields: ['Content-Length', '10'] },
      body: '12345',
      isCutByPeer: true,
    },
    'is cut in the middle, in chunks': { head: OK, body: '12345', isCutByPeer: true },
  };
  for (const [name, { head, body, isCutByPeer = false }] of Object.entries(BROKEN)) {
    it(`never ends an answer that ${name} as if it were whole`, async () => {
      const socket = send(GET);
      const received = text(socket).catch(() => 'cut');
      const stream = await waitForStream();
      stream.handlers.onResponse?.(head);
      stream.handlers.onData(Buffer.from(body));
      if (isCutByPeer) stream.handlers.onReset('backend_failed');
      else if (stream.resetWith === undefined) stream.handlers.onEnd([]);
      const answer = await received;
      assert.ok(!answer.endsWith('0\r\n\r\n') && !answer.endsWith('1234567890'), answer);
      assert.equal((await record).failure?.code, 'application_failed');
    });
  }

  it('refuses a switch of protocols that nobody asked for', async () => {
    const socket = send(GET);
    (await waitForStream()).handlers.onResponse?.({ ...OK, status: 101 });
    assert.match(await text(socket), /^HTTP\/1\.1 502 .*\r\nX-Connector-Error: application_failed\r\n/s);
  });

  it('takes its own field out of an answer, and says which failure was the connector’s', async () => {
    const socket = send(GET);
    const stream = await waitForStream();
    const fields = ['X-Connector-Error', 'forged', 'X-Own', '1'];
    stream.handlers.onResponse?.({ status: 502, reason: 'Bad Gateway', fields, connectorError: 'application_failed' });
    stream.handlers.onEnd([]);
    const answer = await text(socket);
    assert.match(answer, /X-Own: 1/);
    assert.deepEqual(answer.match(/X-Connector-Error: .*/g), ['X-Connector-Error: application_failed']);
  });
});
