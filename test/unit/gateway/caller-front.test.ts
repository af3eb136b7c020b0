import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, it } from 'node:test';

import type { ResponseHead } from '../../../src/tunnel/messages.ts';
import { type CallerPort, readToEnd, startCallerPort, TOKEN, waitUntilCut } from './caller-port.ts';
import type { FakeStream } from './fake-way.ts';

const OK: ResponseHead = { status: 200, reason: 'OK', fields: [] };
const toGet = (path: string, token = TOKEN): string =>
  `GET http://crm.virtual:8080${path} HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`;

describe('the caller port', () => {
  let port: CallerPort;
  beforeEach(async () => {
    port = await startCallerPort();
  });
  afterEach(() => port.stop());

  const send = (bytes: string): Socket => port.send(bytes);
  const waitForStream = (at?: number): Promise<FakeStream> => port.waitForStream(at);
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
    assert.equal(port.way.streams.length, 1, 'an answer that waits would never hear of the end of its connection');
    answer(first);
    const second = await waitForStream(1);
    assert.equal(second.head.target, '/api/2');
    socket.resetAndDestroy();
    while (second.resetWith === undefined) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([second.resetWith, port.way.streams.length], ['cancelled', 2]);
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
    assert.deepEqual([port.way.streams[0]?.resetWith, port.way.streams[0]?.ended], ['cancelled', undefined]);
  });

  it('never writes the refusal of a CONNECT into another answer', async () => {
    const socket = send(`${toGet('/api/x')}CONNECT crm.virtual:8080 HTTP/1.1\r\nHost: h\r\n\r\n`);
    const received = text(socket).catch(() => '');
    const stream = await waitForStream();
    stream.handlers.onResponse?.({ ...OK, fields: ['Content-Length', '900'] });
    stream.handlers.onData(Buffer.from('a part'));
    assert.doesNotMatch(await received, /405/);
  });

  it('does not keep the connection of whoever asked for CONNECT and never ends it', async () => {
    const socket = port.send('CONNECT crm.virtual:8080 HTTP/1.1\r\nHost: h\r\n\r\n', { allowHalfOpen: true });
    assert.match(await readToEnd(socket), /^HTTP\/1\.1 405 /);
    await waitUntilCut(socket);
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
      assert.equal(port.way.streams.length, 0);
    });
  }
});
