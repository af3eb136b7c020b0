import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';

import express from 'express';

import { readBody } from '../../src/http/body.ts';
import { sendJson } from '../../src/http/respond.ts';
import { startServer } from '../../src/http/server.ts';
import { startApp } from '../unit/http/app-under-test.ts';
import { openRaw, parseAnswer } from '../unit/http/raw-http.ts';
import { createCertificate } from './server-certificate.ts';

/** A server that takes web sockets, and answers everything else with what it got. */
async function startWithSockets(t: TestContext): Promise<{ port: number; taken: string[] }> {
  const taken: string[] = [];
  const { port } = await startApp(
    t,
    (server) =>
      void server.use(readBody(100_000), (req, res) => {
        const { method, url, headers, body } = req;
        const { upgrade, connection, 'http2-settings': settings } = headers;
        sendJson(res, 200, {
          method,
          url,
          body: body as object,
          asked: { upgrade, connection, settings },
          x: headers['x-y'],
        });
      }),
    {},
    {
      onUpgrade: (req, socket) => {
        taken.push(req.url ?? '');
        socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n');
      },
    },
  );
  return { port, taken };
}

/** What Java's client sends over plain HTTP. */
const H2C = [
  'Host: a',
  'Connection: Upgrade, HTTP2-Settings',
  'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk',
  'Upgrade: h2c',
];
const send = (text: string, ...lines: readonly string[]): string => `${lines.join('\r\n')}\r\n\r\n${text}`;

describe('an upgrade', () => {
  it('to a web socket is handed over, in any case', async (t) => {
    const { port, taken } = await startWithSockets(t);
    for (const name of ['websocket', 'WebSocket']) {
      const connection = await openRaw(port);
      connection.send(send('', 'GET /socket HTTP/1.1', 'Host: a', 'Connection: Upgrade', `Upgrade: ${name}`));
      assert.match(await connection.closed(), /^HTTP\/1\.1 101 /);
    }
    assert.deepEqual(taken, ['/socket', '/socket']);
  });

  const bodies: Readonly<Record<string, { lines: readonly string[]; text: string }>> = {
    'a body of known length': { lines: ['Content-Length: 13'], text: '{"token":"x"}' },
    'a body in chunks': { lines: ['Transfer-Encoding: chunked'], text: '5\r\n{"tok\r\n8\r\nen":"x"}\r\n0\r\n\r\n' },
  };
  for (const [what, { lines, text }] of Object.entries(bodies)) {
    it(`to something else is answered as an ordinary request: ${what}, and the next one on the connection too`, async (t) => {
      const { port, taken } = await startWithSockets(t);
      const connection = await openRaw(port);
      const type = 'Content-Type: application/json';
      const request = send(text, 'POST /oauth/introspect?a=b HTTP/1.1', ...H2C, 'X-Y: 1', type, ...lines);
      // In two pieces: the second one comes when the first has been taken for an upgrade.
      connection.send(request.slice(0, -4));
      await new Promise((resolve) => setTimeout(resolve, 50));
      connection.send(request.slice(-4));
      const first = await connection.until((received) => received.includes('"x":"1"}'));
      const answer = parseAnswer(first);
      assert.equal(answer.status, 200);
      assert.deepEqual(JSON.parse(answer.body), {
        method: 'POST',
        url: '/oauth/introspect?a=b',
        body: { token: 'x' },
        asked: { connection: 'keep-alive' },
        x: '1',
      });
      connection.send(send('', 'GET /next HTTP/1.1', 'Host: a', 'Connection: close'));
      assert.match((await connection.closed()).slice(first.length), /200 OK[^]*"url":"\/next"/);
      assert.deepEqual(taken, []);
    });
  }

  const asked = send('', 'GET /asked HTTP/1.1', ...H2C);
  const socket = send('', 'GET /socket HTTP/1.1', 'Host: a', 'Connection: Upgrade', 'Upgrade: websocket');
  for (const [what, second] of Object.entries({ 'something else': asked, 'a web socket': socket })) {
    it(`to ${what}, behind a request that is not answered yet, ends the connection and nothing else`, async (t) => {
      const { port, taken } = await startWithSockets(t);
      for (let round = 0; round < 5; round++) {
        const connection = await openRaw(port);
        connection.send(send('', 'GET /first HTTP/1.1', 'Host: a') + second);
        await new Promise((resolve) => setTimeout(resolve, 50));
        connection.send(send('', 'GET /third HTTP/1.1', 'Host: a'));
        // One answer at most, and it is the first one's.
        const received = await connection.closed();
        assert.doesNotMatch(received, /asked|third|101 Switching/);
      }
      assert.deepEqual(taken, []);
      const after = await openRaw(port);
      after.send(send('', 'GET /after HTTP/1.1', 'Host: a', 'Connection: close'));
      assert.match(await after.closed(), /200 OK[^]*"url":"\/after"/);
    });
  }

  it('again and again on one connection leaves nothing behind', async (t) => {
    const { port } = await startWithSockets(t);
    const warnings: string[] = [];
    const onWarning = ({ message }: Error): void => void warnings.push(message);
    process.on('warning', onWarning);
    t.after(() => process.off('warning', onWarning));
    const connection = await openRaw(port);
    for (let count = 1; count <= 30; count++) {
      connection.send(send('', `GET /${count} HTTP/1.1`, ...H2C));
      await connection.until((received) => received.includes(`"url":"/${count}"`));
    }
    connection.socket.destroy();
    await new Promise(setImmediate);
    assert.deepEqual(warnings, []);
  });

  it('over TLS is answered as an ordinary request, too', async (t) => {
    const { cert, key } = await createCertificate(t);
    const app = express();
    app.use((req, res) => sendJson(res, 200, { url: req.url }));
    const at = { host: '127.0.0.1', port: 0, tls: { cert, key } };
    const server = await startServer(app, at, { onUpgrade: (_req, taken) => void taken.destroy() });
    t.after(() => server.close());
    const tls = connectTls({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false });
    let text = '';
    tls.on('data', (chunk: Buffer) => (text += chunk.toString()));
    tls.write(send('', 'GET /tls HTTP/1.1', ...H2C.map((line) => line.replace('Upgrade,', 'close, Upgrade,'))));
    await once(tls, 'close');
    assert.match(text, /^HTTP\/1\.1 200 OK[^]*"url":"\/tls"/);
  });

  for (const count of [10, 990, 1_010, 1_024, 1_100, 3_000]) {
    it(`with ${count} header fields before its length is answered once, or not at all`, async (t) => {
      const { port } = await startWithSockets(t);
      const connection = await openRaw(port);
      const inner = send('', 'GET /inner HTTP/1.1', 'Host: a', 'Connection: close');
      const fields = Array.from({ length: count }, () => 'a: b');
      const length = `Content-Length: ${inner.length}`;
      connection.send(send(inner, 'POST /outer HTTP/1.1', ...H2C, 'Content-Type: text/plain', ...fields, length));
      await new Promise((resolve) => setTimeout(resolve, 100));
      connection.socket.destroy();
      const received = connection.received();
      assert.doesNotMatch(received, /inner/);
      assert.ok(received.split('HTTP/1.1 ').length <= 2, received);
    });
  }

  it('that asks to close the connection has it closed', async (t) => {
    const { port } = await startWithSockets(t);
    const connection = await openRaw(port);
    connection.send(send('', 'GET / HTTP/1.1', 'Host: a', 'Connection: close, Upgrade', 'Upgrade: h2c'));
    assert.match(await connection.closed(), /200 OK[^]*Connection: close/i);
  });
});
