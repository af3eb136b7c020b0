import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, it } from 'node:test';

import express from 'express';
import { pino } from 'pino';

import { type CallerFront, createCallerFront } from '../../../src/gateway/caller-front.ts';
import type { Connector } from '../../../src/gateway/connector.ts';
import type { Agent } from '../../../src/gateway/roster.ts';
import { type RunningServer, startServer } from '../../../src/http/server.ts';
import type { ResponseHead } from '../../../src/tunnel/messages.ts';
import { createFakeWay, type FakeStream, type FakeWay } from './fake-way.ts';

const TOKEN = 'csc_gc2LOJuGuNcrFfk36D8_JiA9LjzVp_FQwKiKWXXPOJo';
const CALLER = { id: 'cl-1', name: 'bot', tokenHash: '', createdAt: 0 };
const OK: ResponseHead = { status: 200, reason: 'OK', fields: [] };
const toGet = (path: string, token = TOKEN): string =>
  `GET http://crm.virtual:8080${path} HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`;

describe('the caller port', () => {
  let way: FakeWay;
  let front: CallerFront;
  let server: RunningServer;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    way = createFakeWay('a');
    front = createCallerFront({
      directory: {
        findConnector: (id) => ({ id, enabled: true }) as Connector,
        listEnabled: () => ['cn-1'],
        refreshOnMiss: async () => undefined,
      },
      roster: { findByConnector: () => [way] as unknown as Agent[] },
      remote: { find: async () => [] },
      callers: {
        findCaller: (token) => (token === TOKEN ? CALLER : undefined),
        refreshOnMiss: () => new Promise((resolve) => setImmediate(resolve)),
        load: async () => undefined,
        close: () => undefined,
      },
      logger: pino({ level: 'silent' }),
      countRelayed: () => undefined,
    });
    server = await startServer(
      express(),
      { host: '127.0.0.1', port: 0 },
      {
        takeRequest: front.takeRequest,
        onUpgrade: front.takeUpgrade,
        onConnect: front.refuseConnect,
        errorField: 'X-Connector-Error',
        shutdownGraceMs: 100,
      },
    );
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    front.cutUpgraded();
    await server.close();
  });

  const send = (bytes: string): Socket => {
    const socket = connect(server.port, '127.0.0.1');
    sockets.push(socket.on('error', () => undefined));
    socket.write(bytes);
    return socket;
  };
  const waitForStream = async (at = 0): Promise<FakeStream> => {
    for (;;) {
      const stream = way.streams[at];
      if (stream) return stream;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const answer = (stream: FakeStream, body = 'whole'): void => {
    stream.handlers.onResponse?.({ ...OK, fields: ['Content-Length', String(body.length)] });
    stream.handlers.onData(Buffer.from(body));
    stream.handlers.onEnd([]);
  };

  /** A token that nobody knows makes the store be asked again; what fails meanwhile must not be left alone. */
  const STRANGERS: Readonly<Record<string, string>> = {
    'a URL with a user': `GET http://u@h/ HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Bearer csc_x\r\n\r\n`,
    'a reverse path that is none':
      'GET /cn-x/%2f/80/ HTTP/1.1\r\nHost: h\r\nX-Connector-Authorization: Bearer csc_x\r\n\r\n',
    'an upgrade of such a path':
      'GET /cn-x/%2f/80/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Connector-Authorization: Bearer csc_x\r\n\r\n',
  };
  for (const [name, bytes] of Object.entries(STRANGERS)) {
    it(`survives ${name} from a stranger`, async () => {
      const [first] = (await once(send(bytes), 'data')) as [Buffer];
      assert.match(first.toString(), /^HTTP\/1\.1 400 /);
      const socket = send(toGet('/api/x'));
      answer(await waitForStream());
      const [second] = (await once(socket, 'data')) as [Buffer];
      assert.match(second.toString(), /^HTTP\/1\.1 200 /);
    });
  }

  it('begins a pipelined request when the one before is answered', async () => {
    const socket = send(toGet('/api/1') + toGet('/api/2') + toGet('/api/3'));
    const first = await waitForStream();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(way.streams.length, 1, 'an answer that waits would never hear of the end of its connection');
    answer(first);
    const second = await waitForStream(1);
    assert.equal(second.head.target, '/api/2');
    socket.resetAndDestroy();
    while (second.resetWith === undefined) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([second.resetWith, way.streams.length], ['cancelled', 2]);
  });

  const HINTS = ['</a>; rel=preload, </b>; rel=preload', '</a>; rel=preload; title="a b"', 'nonsense', ''];
  for (const link of HINTS) {
    it(`survives the hint ${JSON.stringify(link)}`, async () => {
      const socket = send(toGet('/api/x'));
      const stream = await waitForStream();
      stream.handlers.onResponse?.({ status: 103, reason: 'Early Hints', fields: ['Link', link] });
      answer(stream);
      socket.end();
      assert.match(await text(socket), /HTTP\/1\.1 200 OK\r\n.*whole$/s);
    });
  }

  it('refuses trailers for which the other end would close the connection', async () => {
    const trailers = Array.from({ length: 201 }, (_, at) => `x-${at}: 1\r\n`).join('');
    const post = toGet('/api/x').replace('GET', 'POST').replace('\r\n\r\n', '\r\nTransfer-Encoding: chunked\r\n\r\n');
    const socket = send(`${post}1\r\na\r\n0\r\n${trailers}\r\n`);
    const [received] = (await once(socket, 'data')) as [Buffer];
    assert.match(received.toString(), /^HTTP\/1\.1 400 .*X-Connector-Error: invalid_request/s);
    assert.deepEqual([way.streams[0]?.resetWith, way.streams[0]?.ended], ['cancelled', undefined]);
  });

  it('never writes the refusal of a CONNECT into another answer', async () => {
    const socket = send(`${toGet('/api/x')}CONNECT crm.virtual:8080 HTTP/1.1\r\nHost: h\r\n\r\n`);
    const received = text(socket).catch(() => '');
    const stream = await waitForStream();
    stream.handlers.onResponse?.({ ...OK, fields: ['Content-Length', '900'] });
    stream.handlers.onData(Buffer.from('a part'));
    assert.doesNotMatch(await received, /405/);
  });

  it('refuses a CONNECT that stands alone', async () => {
    const socket = send('CONNECT crm.virtual:8080 HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.match(await text(socket), /^HTTP\/1\.1 405 .*\r\nX-Connector-Error: tunnel_refused\r\n/s);
  });

  const UNREADABLE: Readonly<Record<string, [bytes: string, status: number, failure: string]>> = {
    'what is no HTTP': ['nonsense\r\n\r\n', 400, 'invalid_request'],
    'two framings': [
      toGet('/api/x').replace('\r\n\r\n', '\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'),
      400,
      'invalid_request',
    ],
    'too many fields': [
      toGet('/api/x').replace('\r\n\r\n', `\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`),
      431,
      'head_too_large',
    ],
  };
  for (const [name, [bytes, status, failure]] of Object.entries(UNREADABLE)) {
    it(`says that it is the gateway who refuses ${name}`, async () => {
      const received = await text(send(bytes));
      assert.ok(received.startsWith(`HTTP/1.1 ${status} `), received);
      assert.match(received, new RegExp(`\\r\\nX-Connector-Error: ${failure}\\r\\n`));
      assert.equal(way.streams.length, 0);
    });
  }
});
