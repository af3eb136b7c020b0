import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Express } from 'express';
import * as fc from 'fast-check';

import { readBody } from '../../../src/http/body.ts';
import { sendJson } from '../../../src/http/respond.ts';
import { startApp } from './app-under-test.ts';
import { BODIES, LIMIT } from './bodies.ts';
import { openRaw, parseAnswer, sendRaw, toRequest } from './raw-http.ts';

function mountEcho(app: Express): void {
  app.post('/echo', readBody(LIMIT), (req, res) => sendJson(res, 200, { body: req.body as unknown }));
}

const HEALTHZ = toRequest('GET', '/healthz');

describe('a body', () => {
  for (const [name, { headers, parts, status, body, msg, cuts = false }] of Object.entries(BODIES)) {
    it(`is answered, and the connection stays usable: ${name}`, async (t) => {
      const app = await startApp(t, mountEcho);
      const head = ['POST /echo HTTP/1.1', 'Host: test', ...headers, '', ''].join('\r\n');
      const text = await sendRaw(app.port, head, ...parts, ...(cuts ? [] : [HEALTHZ]));
      const answer = parseAnswer(text);
      const json = answer.body.slice(0, Number(answer.headers['content-length']));
      assert.equal(answer.status, status, text);
      const parsed = JSON.parse(Buffer.from(json, 'latin1').toString()) as Record<string, unknown>;
      if (status === 200) {
        assert.deepEqual(parsed, { body });
      } else {
        const [error] = parsed['errors'] as { msg: string; code: number }[];
        assert.equal(error?.code, status);
        assert.match(error.msg, msg ?? /./);
      }
      if (cuts) assert.equal(answer.headers['connection'], 'close');
      else assert.match(text, /\{"status":"ok"\}$/);
      assert.match(await sendRaw(app.port, HEALTHZ), /\{"status":"ok"\}$/);
    });
  }

  it('with members of Object.prototype changes no prototype', async (t) => {
    const app = await startApp(t, mountEcho);
    const send = (type: string, body: string): Promise<string> =>
      sendRaw(app.port, toRequest('POST', '/echo', [`Content-Type: ${type}`, `Content-Length: ${body.length}`], body));
    await send('application/json', '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
    await send(
      'application/x-www-form-urlencoded',
      '__proto__[polluted]=1&constructor[prototype][polluted]=1&a[__proto__][polluted]=1',
    );
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });

  it('that ends early is given up, and the log says so', async (t) => {
    const app = await startApp(t, mountEcho);
    const connection = await openRaw(app.port);
    connection.send(
      'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a"',
    );
    connection.socket.resetAndDestroy();
    const line = await app.line(({ msg }) => msg === 'request');
    assert.equal(line['isAborted'], true);
    assert.equal(line['level'], 30);
    assert.match(await sendRaw(app.port, HEALTHZ), /200 OK/);
  });

  it('that ends early with the sender still listening is told 400', async (t) => {
    const app = await startApp(t, mountEcho);
    const connection = await openRaw(app.port);
    connection.send(
      'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a"',
    );
    connection.socket.end();
    assert.match(await connection.closed(), /^HTTP\/1\.1 400 [^]*\{"errors":\[\{"msg":"[^"]+","code":400\}\]\}$/);
  });

  it('of any size gets its answer, also from a client that sends all before it reads', async (t) => {
    const app = await startApp(t, mountEcho);
    for (const size of [LIMIT + 1, 100_000, 900_000]) {
      const response = await fetch(`${app.url}/echo`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: 'x'.repeat(size),
      });
      assert.equal(response.status, 413);
      await response.text();
    }
  });

  it('of arbitrary bytes, under any type, never gives 5xx', async (t) => {
    const app = await startApp(t, mountEcho);
    const type = fc.constantFrom(
      'application/json',
      'application/x-www-form-urlencoded',
      'text/plain',
      'application/json; charset=utf-16',
      '',
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: LIMIT + 50 }),
      fc.json().map((text) => Buffer.from(text)),
      fc.stringMatching(/^[ab[\]=&%+0-9{}":,\\]*$/).map((text) => Buffer.from(text)),
    );
    await fc.assert(
      fc.asyncProperty(type, bytes, fc.boolean(), async (contentType, body, isChunked) => {
        const data = new Uint8Array(body);
        const stream = new ReadableStream<Uint8Array>({
          start: (controller) => {
            controller.enqueue(data);
            controller.close();
          },
        });
        const response = await fetch(`${app.url}/echo`, {
          method: 'POST',
          headers: { 'content-type': contentType },
          body: isChunked && data.length > 0 ? stream : data,
          duplex: 'half',
        });
        const text = await response.text();
        assert.ok([200, 400, 413, 415].includes(response.status), `${response.status} ${text}`);
        assert.equal(typeof JSON.parse(text), 'object');
      }),
      { numRuns: 300 },
    );
    assert.ok(app.lines().every(({ failure }) => failure !== 'internal'));
  });

  it('of arbitrary bytes in place of a request never gives 5xx', async (t) => {
    const app = await startApp(t, mountEcho);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const connection = await openRaw(app.port);
        connection.send(Buffer.from(bytes));
        connection.socket.end();
        assert.match(await connection.closed(), /^(?:$|HTTP\/1\.1 4\d\d )/);
      }),
      { numRuns: 100 },
    );
    assert.match(await sendRaw(app.port, HEALTHZ), /200 OK/);
  });
});
