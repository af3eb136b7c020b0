import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:https';
import { describe, it, type TestContext } from 'node:test';

import express from 'express';

import { AppError } from '../../src/core/errors.ts';
import { sendJson } from '../../src/http/respond.ts';
import { type ServerLimits, startServer } from '../../src/http/server.ts';
import { startApp } from '../unit/http/app-under-test.ts';
import { openRaw, parseAnswer, sendRaw, toRequest } from '../unit/http/raw-http.ts';
import { createCertificate } from './server-certificate.ts';

const LIMITS: ServerLimits = { headersTimeoutMs: 200, requestTimeoutMs: 400, checkEveryMs: 50, shutdownGraceMs: 5_000 };

/** What cannot be read as a request. */
const UNREADABLE: Readonly<Record<string, { text: string; status: number }>> = {
  'no HTTP at all': { text: 'hello\r\n\r\n', status: 400 },
  'a TLS handshake': { text: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', status: 400 },
  'an unknown method': { text: 'GRAB / HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
  'another version': { text: 'GET / HTTP/9.9\r\nHost: a\r\n\r\n', status: 400 },
  'a header without a colon': { text: 'GET / HTTP/1.1\r\nHost a\r\n\r\n', status: 400 },
  'a header name with a space': { text: 'GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n', status: 400 },
  'a folded header': { text: 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', status: 400 },
  'a NUL in a header': { text: 'GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n', status: 400 },
  'headers that are too large': { text: `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, status: 431 },
  'a path that is too large': { text: `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, status: 431 },
  'a target without a path': { text: 'GET http:// HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
  'another protocol': { text: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', status: 400 },
  'no Host': { text: 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', status: 400 },
};

describe('a server', () => {
  for (const [name, { text, status }] of Object.entries(UNREADABLE)) {
    it(`answers JSON to what cannot be read: ${name}`, async (t) => {
      const { port } = await startApp(t, () => undefined);
      const answer = parseAnswer(await sendRaw(port, text));
      assert.equal(answer.status, status);
      assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
      assert.equal(answer.headers['connection'], 'close');
      const { errors } = JSON.parse(answer.body) as { errors: { msg: string; code: number }[] };
      assert.equal(errors.length, 1);
      assert.equal(errors[0]?.code, status);
      assert.match(await sendRaw(port, toRequest('GET', '/healthz')), /200 OK/);
    });
  }

  it('answers JSON to a header that does not come', async (t) => {
    const { port } = await startApp(t, () => undefined, {}, LIMITS);
    const answer = parseAnswer(await sendRaw(port, 'GET / HTTP/1.1\r\nHost: a\r\nX:'));
    assert.equal(answer.status, 408);
    assert.deepEqual(JSON.parse(answer.body), { errors: [{ msg: 'the request cannot be read', code: 408 }] });
  });

  it('gives up a body that does not come', async (t) => {
    const { readBody } = await import('../../src/http/body.ts');
    const app = await startApp(
      t,
      (server) => void server.post('/', readBody(100), (_req, res) => sendJson(res, 200, {})),
      {},
      LIMITS,
    );
    const text = await sendRaw(
      app.port,
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
    );
    assert.match(text, /^HTTP\/1\.1 408 [^]*"code":408/);
  });

  it('does not mix a refusal into an answer that has begun', async (t) => {
    const app = await startApp(t, (server) => void server.get('/', (_req, res) => void res.write('begun')));
    const connection = await openRaw(app.port);
    connection.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await connection.until((text) => text.includes('begun'));
    connection.send('garbage\r\n\r\n');
    const text = await connection.closed();
    assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1);
    assert.doesNotMatch(text, /cannot be read/);
  });

  const TARGETS: Readonly<Record<string, readonly [string, number]>> = {
    'in absolute form': ['GET http://elsewhere/healthz', 200],
    'a star': ['OPTIONS *', 404],
    'two slashes': ['GET //healthz', 404],
    'back slashes': ['GET /\\..\\healthz', 404],
    dots: ['GET /../healthz', 404],
  };
  for (const [name, [target, status]] of Object.entries(TARGETS)) {
    it(`answers JSON to an odd target: ${name}`, async (t) => {
      const { port } = await startApp(t, () => undefined);
      const answer = parseAnswer(await sendRaw(port, `${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));
      assert.equal(answer.status, status);
      assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
      assert.equal(typeof JSON.parse(answer.body), 'object');
    });
  }

  it('answers JSON where the error handler itself fails', async (t) => {
    const app = express();
    app.get('/', () => {
      throw new Error('secret');
    });
    app.get('/begun', (_req, res) => {
      res.write('begun');
      throw new Error('secret');
    });
    const server = await startServer(app, { host: '127.0.0.1', port: 0 });
    t.after(() => server.close());
    const answer = parseAnswer(await sendRaw(server.port, toRequest('GET', '/')));
    assert.equal(answer.status, 500);
    assert.match(answer.body, /\{"errors":\[\{"msg":"internal error","code":500\}\]\}/);
    assert.doesNotMatch(await sendRaw(server.port, toRequest('GET', '/begun')), /secret|errors|\r\n0\r\n/);
  });

  it('refuses a port that is taken', async (t) => {
    const { port } = await startApp(t, () => undefined);
    await assert.rejects(startServer(express(), { host: '127.0.0.1', port }), { code: 'EADDRINUSE', port });
  });

  const URLS: Readonly<Record<string, string>> = {
    '127.0.0.1': '127.0.0.1',
    '::1': '[::1]',
    '0.0.0.0': '127.0.0.1',
    '::': '[::1]',
  };
  for (const [host, shown] of Object.entries(URLS)) {
    it(`tells the URL under which this machine reaches it: ${host}`, async () => {
      const server = await startServer(express(), { host, port: 0 });
      assert.equal(server.url, `http://${shown}:${server.port}`);
      await server.close();
    });
  }
});

/** A route that waits to be let go. */
async function startSlow(t: TestContext, limits: ServerLimits) {
  let release = (): void => undefined;
  let arrive = (): void => undefined;
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const app = await startApp(
    t,
    (server) =>
      void server.get('/slow', (_req, res) => {
        release = () => sendJson(res, 200, { done: true });
        arrive();
      }),
    {},
    limits,
  );
  return { app, arrived, release: () => release() };
}

describe('a server that stops', () => {
  it('finishes what is in flight, refuses new connections, closes idle ones', async (t) => {
    const { app, arrived, release } = await startSlow(t, LIMITS);
    const idle = await openRaw(app.port);
    idle.send('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
    await idle.until((text) => text.includes('{"status":"ok"}'));
    const busy = await openRaw(app.port);
    busy.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    await arrived;

    let isClosed = false;
    const closing = app.server.close().then(() => (isClosed = true));
    await idle.closed();
    await assert.rejects(openRaw(app.port), { code: 'ECONNREFUSED' });
    assert.equal(isClosed, false);
    release();
    assert.match(await busy.closed(), /200 OK[^]*\{"done":true\}$/);
    await closing;
  });

  it('asks whoever still comes over an open connection to go', async (t) => {
    const { app, arrived, release } = await startSlow(t, LIMITS);
    const busy = await openRaw(app.port);
    busy.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n');
    await arrived;
    const closing = app.server.close();
    busy.send('\r\n');
    release();
    const text = await busy.closed();
    assert.match(text, /\{"done":true\}/);
    // The second one is answered as the last of its connection, or not begun at all; never half.
    assert.match(
      text,
      /\{"done":true\}$|\{"done":true\}HTTP\/1\.1 200 OK\r\nConnection: close\r\n[^]*\{"status":"ok"\}$/,
    );
    await closing;
  });

  it('cuts what takes longer than the grace', async (t) => {
    const { app, arrived } = await startSlow(t, { ...LIMITS, requestTimeoutMs: 60_000, shutdownGraceMs: 100 });
    const busy = await openRaw(app.port);
    busy.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    await arrived;
    const startedAt = performance.now();
    await app.server.close();
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs >= 90 && tookMs < 3_000, `${tookMs} ms`);
    assert.equal(await busy.closed(), '');
  });
});

describe('a server with a certificate', () => {
  it('speaks HTTPS with the fast message classes, and TLS 1.2 at least', async (t) => {
    const tls = await createCertificate(t);
    const app = express();
    app.get('/', (req, res) => {
      assert.equal(Object.getPrototypeOf(req), app.request);
      sendJson(res, 200, { secure: req.secure });
    });
    const server = await startServer(app, { host: '127.0.0.1', port: 0, tls });
    t.after(() => server.close());
    assert.equal(server.url, `https://127.0.0.1:${server.port}`);
    const ask = async (options: object): Promise<string> => {
      const sent = request(server.url, { ca: tls.cert, agent: false, servername: 'localhost', ...options });
      sent.end();
      const [response] = (await once(sent, 'response')) as [NodeJS.ReadableStream];
      let text = '';
      for await (const chunk of response) text += String(chunk);
      return text;
    };
    assert.equal(await ask({}), '{"secure":true}');
    assert.equal(await ask({ maxVersion: 'TLSv1.2' }), '{"secure":true}');
    await assert.rejects(ask({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
    // Who speaks plain HTTP there disturbs nobody.
    await sendRaw(server.port, toRequest('GET', '/'));
    assert.equal(await ask({}), '{"secure":true}');
  });

  it("refuses a key that is not the certificate's", async (t) => {
    const [one, other] = [await createCertificate(t), await createCertificate(t)];
    const tls = { cert: one.cert, key: other.key };
    await assert.rejects(startServer(express(), { host: '127.0.0.1', port: 0, tls }), /key values mismatch/);
  });
});

it('an error thrown while a server stops is still JSON', async (t) => {
  let release = (): void => undefined;
  let arrive = (): void => undefined;
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const app = await startApp(t, (server) => {
    server.get('/slow', async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
        arrive();
      });
      throw new AppError('store_unavailable');
    });
  });
  const busy = await openRaw(app.port);
  busy.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
  await arrived;
  const closing = app.server.close();
  release();
  assert.match(await busy.closed(), /503 Service Unavailable[^]*"code":503/);
  await closing;
});
