import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { once } from 'node:events';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, describe, it, type TestContext } from 'node:test';
import { createSecureContext } from 'node:tls';
import type { RequestListener } from 'node:http';

import { AppError } from '../../src/core/errors.ts';
import { createDirectCalls } from '../../src/gateway/service-calls/direct-calls.ts';
import { parseHostRules } from '../../src/gateway/service-calls/host-rules.ts';
import { CALL_LIMITS } from '../../src/gateway/service-calls/limits.ts';
import { parseServiceUrl } from '../../src/gateway/service-calls/service-url.ts';
import { CRM, type FakeStream, startConnectorCaller } from '../unit/gateway/fake-way.ts';
import { startChild, waitUntilReady } from '../support/child.ts';
import {
  type Certificates,
  createCertificates,
  startGateway,
  startService,
  TOKEN,
} from './service-calls-under-test.ts';

const SIZE = 104_857_600;
/** How much this process, the gateway in it, may grow, in bytes. */
const MAX_GROWTH = 62_914_560;

let certificates: Certificates;
before(async () => {
  certificates = await createCertificates();
});
after(() => certificates.remove());

/** A service in a process of its own: takes what comes, slowly, and gives 100 MB as fast as they are taken. */
const SERVICE = `
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
const [key, cert, ca, size] = process.argv.slice(2);
const options = { key: readFileSync(key), cert: readFileSync(cert), ca: readFileSync(ca), requestCert: true };
createServer(options, async (req, res) => {
  let taken = 0;
  let next = 0;
  for await (const chunk of req) {
    taken += chunk.length;
    if (taken < next) continue;
    next += 1_048_576;
    await new Promise((done) => setTimeout(done, 4));
  }
  if (req.method === 'POST') return res.end(String(taken));
  const chunk = Buffer.alloc(65_536, 'x');
  for (let sent = 0; sent < Number(size); sent += chunk.length) {
    if (!res.write(chunk)) await new Promise((done) => res.once('drain', done));
  }
  res.end();
}).listen(0, '127.0.0.1', function () { console.log('port', this.address().port); });
`;

async function startBigService(t: TestContext): Promise<number> {
  const { ca, server } = certificates;
  const path = join(ca.folder, 'service.mjs');
  await writeFile(path, SERVICE);
  const args = [path, server.keyFile, server.certFile, ca.certFile, String(SIZE)];
  const child = await startChild({ command: process.execPath, args, cwd: ca.folder });
  t.after(() => child.kill());
  await waitUntilReady(child, () => Promise.resolve(/port \d+/.test(child.stdout())), 10_000);
  return Number(/port (\d+)/.exec(child.stdout())?.[1]);
}

const toHeader = (call: object): string => Buffer.from(JSON.stringify(call)).toString('base64url');

/** Runs curl to its end, and says how far this process grew meanwhile. */
async function watch(
  command: string,
  cwd: string,
): Promise<{ stdout: string; stderr: string; code: number | null; growth: number }> {
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 20);
  const child = await startChild({ command: 'bash', args: ['-o', 'pipefail', '-c', command], cwd });
  const { code } = await child.exited;
  clearInterval(timer);
  return { stdout: child.stdout(), stderr: child.stderr(), code, growth: most - before };
}

describe('100 MB', () => {
  it('come from a service to a slower caller within bounded memory', async (t) => {
    const port = await startBigService(t);
    const { url } = await startGateway(t, { identities: certificates.identities, hosts: [`localhost:${port}`] });
    const call = JSON.stringify({ url: `https://localhost:${port}/`, stream: true });
    const headers = `-H 'authorization: Bearer ${TOKEN}' -H 'content-type: application/json'`;
    const { stdout, stderr, code, growth } = await watch(`curl -sS --limit-rate 60M ${headers} -d '${call}' '${url}/service-calls' | wc -c`, certificates.ca.folder); // prettier-ignore
    assert.equal(code, 0, stderr);
    assert.equal(Number(stdout), SIZE);
    assert.ok(growth < MAX_GROWTH, `grew by ${growth} bytes`);
    t.diagnostic(`grew by ${Math.round(growth / 1e6)} MB`);
  });

  it('go to a slower service within bounded memory', async (t) => {
    const port = await startBigService(t);
    const { url } = await startGateway(t, { identities: certificates.identities, hosts: [`localhost:${port}`] });
    const call = toHeader({ method: 'POST', url: `https://localhost:${port}/` });
    const headers = `-H 'authorization: Bearer ${TOKEN}' -H 'x-service-call: ${call}'`;
    const { stdout, stderr, code, growth } = await watch(`head -c ${SIZE} /dev/zero | curl -sS -X POST -T - ${headers} '${url}/service-calls'`, certificates.ca.folder); // prettier-ignore
    assert.equal(code, 0, stderr);
    assert.equal((JSON.parse(stdout) as { body: string }).body, String(SIZE), stdout);
    assert.ok(growth < MAX_GROWTH, `grew by ${growth} bytes`);
    t.diagnostic(`grew by ${Math.round(growth / 1e6)} MB`);
  });
});

async function start(t: TestContext, answer: RequestListener) {
  const { key, cert } = certificates.server;
  const { port } = await startService(t, { key, cert }, answer);
  const gateway = await startGateway(t, { identities: certificates.identities, hosts: [`localhost:${port}`] });
  return { ...gateway, service: `https://localhost:${port}/` };
}

describe('a streamed answer', () => {
  const ask = (gateway: Awaited<ReturnType<typeof start>>, call: object = {}): Promise<Response> =>
    fetch(`${gateway.url}/service-calls`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ url: gateway.service, stream: true, ...call }),
    });

  const ANSWERS: Readonly<Record<string, readonly [RequestListener, object, string, string, string | null]>> = {
    'with its length': [(_req, res) => res.writeHead(404, { 'content-length': '3', 'X-A': 'b' }).end('abc'), {}, '404', 'abc', '3'],
    'without a length': [(_req, res) => void res.writeHead(200, { 'X-A': 'b' }).write('a', () => res.end('bc')), {}, '200', 'abc', null],
    'to a HEAD': [(_req, res) => res.writeHead(200, { 'content-length': '9', 'X-A': 'b' }).end(), { method: 'HEAD' }, '200', '', null],
    'without a body': [(_req, res) => res.writeHead(204, { 'X-A': 'b' }).end(), {}, '204', '', null],
    'without a body, with a length': [(_req, res) => void res.socket?.write('HTTP/1.1 204 No Content\r\nX-A: b\r\nContent-Length: 90\r\n\r\n'), {}, '204', '', null],
    'not modified': [(_req, res) => res.writeHead(304, { 'content-length': '9', 'X-A': 'b' }).end(), {}, '304', '', null],
  }; // prettier-ignore
  for (const [name, [answer, call, status, body, length]] of Object.entries(ANSWERS)) {
    it(`says what the service answered: ${name}`, async (t) => {
      const response = await ask(await start(t, answer), call);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('x-service-status'), status);
      const fields = Buffer.from(response.headers.get('x-service-headers') ?? '', 'base64url').toString();
      assert.equal((JSON.parse(fields) as Record<string, unknown>)['x-a'], 'b');
      assert.equal(await response.text(), body);
      if (length !== null) assert.equal(response.headers.get('content-length'), length);
    });
  }

  for (const headers of [{}, { 'content-length': '100' }]) {
    it(`that ends early never looks whole (${Object.keys(headers).join() || 'no length'})`, async (t) => {
      const gateway = await start(t, (_req, res) => {
        res.writeHead(200, headers).write('half', () => setImmediate(() => res.destroy()));
      });
      const response = await ask(gateway);
      await assert.rejects(response.text());
      const line = await gateway.line(({ msg }) => msg === 'request');
      assert.equal(line['failure'], 'service_failed');
    });
  }

  it('comes as it is made', async (t) => {
    let finish = (): void => undefined;
    const gateway = await start(t, (_req, res) => {
      res.write('first');
      finish = () => void res.end('last');
    });
    const reader = (await ask(gateway)).body?.getReader();
    assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), 'first');
    finish();
    assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), 'last');
  });
});

describe('a streamed body', () => {
  const REFUSED: Readonly<Record<string, readonly [string, RegExp]>> = {
    'no base64url': ['{}', /must be base64url of JSON/],
    'no JSON': [Buffer.from('x').toString('base64url'), /is not valid JSON/],
    'a member twice': [Buffer.from('{"url":"a","url":"b"}').toString('base64url'), /has a member twice/],
    'a body besides': [toHeader({ url: 'https://localhost/', body: 'x' }), /"body" is not known here/],
    'no url': [toHeader({}), /"url" is missing/],
    'too long': ['a'.repeat(12_289), /must be base64url of JSON/],
  };
  for (const [name, [header, msg]] of Object.entries(REFUSED)) {
    it(`is refused where x-service-call has ${name}`, async (t) => {
      const gateway = await startGateway(t, { identities: certificates.identities, hosts: [] });
      const answer = await gateway.send('/service-calls', {
        method: 'POST',
        headers: { 'x-service-call': header },
        body: 'x',
      });
      assert.equal(answer.status, 400);
      assert.match(answer.msg, msg);
    });
  }

  it('keeps its length and its bytes', async (t) => {
    const gateway = await start(
      t,
      (req, res) => void req.pipe(res.setHeader('x-length', req.headers['content-length'] ?? 'none')),
    );
    const header = toHeader({ method: 'PUT', url: gateway.service });
    const answer = await gateway.send('/service-calls', {
      method: 'POST',
      headers: { 'x-service-call': header },
      body: 'bytes',
    });
    assert.equal(answer.json['body'], 'bytes');
    assert.equal((answer.json['headers'] as Record<string, string>)['x-length'], '5');
  });

  it('that its caller breaks off reaches the service as broken', async (t) => {
    let heard: (outcome: string) => void;
    const outcome = new Promise<string>((done) => (heard = done));
    const gateway = await start(t, (req) => {
      req.on('end', () => heard('whole')).on('error', () => heard('broken'));
      req.once('data', () => sent.destroy());
      req.resume();
    });
    const header = toHeader({ method: 'POST', url: gateway.service });
    const headers = { authorization: `Bearer ${TOKEN}`, 'x-service-call': header };
    const sent = request(`${gateway.url}/service-calls`, { method: 'POST', headers });
    sent.on('error', () => undefined).write('half');
    assert.equal(await outcome, 'broken');
  });

  it('that fails for another reason reaches the service as broken, too', async (t) => {
    let heard: (outcome: string) => void;
    const outcome = new Promise<string>((done) => (heard = done));
    const { key, cert } = certificates.server;
    const stream = new PassThrough();
    const { port } = await startService(t, { key, cert }, (req) => {
      req.on('end', () => heard('whole')).on('error', () => heard('broken'));
      req.once('data', () => stream.destroy());
      req.resume();
    });
    const callDirectly = createDirectCalls({
      rules: parseHostRules([`localhost:${port}`]),
      lookup: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]),
      limits: CALL_LIMITS,
      plainContext: createSecureContext({ ca: certificates.ca.cert }),
    });
    const url = parseServiceUrl(`https://localhost:${port}/`);
    const request = { method: 'POST', url, fields: [], body: { stream, length: undefined } };
    const called = callDirectly({ request, identity: undefined, followsRedirects: false }, new AbortController());
    stream.write('half');
    await assert.rejects(called, (error) => error instanceof AppError && error.code === 'malformed_body');
    assert.equal(await outcome, 'broken');
  });

  it('that the service does not wait for gets its answer all the same', async (t) => {
    const gateway = await start(t, (_req, res) => res.writeHead(413).end('too much'));
    const header = toHeader({ method: 'POST', url: gateway.service });
    const headers = { authorization: `Bearer ${TOKEN}`, 'x-service-call': header };
    const sent = request(`${gateway.url}/service-calls`, { method: 'POST', headers });
    sent.on('error', () => undefined).write(Buffer.alloc(1_000));
    const [response] = (await once(sent, 'response')) as [AsyncIterable<Buffer> & { statusCode: number }];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    const json = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
    assert.equal(json['status'], 413);
    sent.destroy();
  });
});

describe('a streamed answer through a connector', () => {
  const INJECTED = 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nINJECTED';
  const NEXT = 'GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';

  const startCaller = async (t: TestContext) => {
    const { way, hasConnector, callConnector } = startConnectorCaller();
    const { port } = await startGateway(t, {
      identities: certificates.identities,
      hosts: [],
      hasConnector,
      callConnector,
    });
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    t.after(() => socket.destroy());
    const send = (call: object, rest: string): void => {
      const header = toHeader({ via: 'connector', url: `http://${CRM.host}:${CRM.port}/api/x`, ...call });
      socket.write(`POST /service-calls HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${TOKEN}\r\nX-Service-Call: ${header}\r\n${rest}`);
    }; // prettier-ignore
    const waitForStream = async (): Promise<FakeStream> => {
      for (;;) {
        const [stream] = way.streams;
        if (stream !== undefined) return stream;
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    return { socket, send, waitForStream };
  };

  const DESYNC: Readonly<Record<string, readonly [string, string]>> = {
    'longer than its length: nothing is behind it': ['5', `hello${INJECTED}`],
    'shorter than its length: it does not swallow the next': ['90', 'hello'],
  };
  for (const [name, [length, body]] of Object.entries(DESYNC)) {
    it(`that is ${name}`, async (t) => {
      const { socket, send, waitForStream } = await startCaller(t);
      send({ stream: true }, `\r\n${NEXT}`);
      const received = text(socket).catch(() => 'cut');
      const { handlers } = await waitForStream();
      handlers.onResponse?.({ status: 200, reason: 'OK', fields: ['Content-Length', length] });
      handlers.onData(Buffer.from(body));
      handlers.onEnd([]);
      assert.doesNotMatch(await received, /INJECTED|hello[^]*HTTP\/1\.1/);
    });
  }

  const EMPTY: Readonly<Record<string, readonly [string, number]>> = { HEAD: ['HEAD', 200], 204: ['GET', 204], 304: ['GET', 304] }; // prettier-ignore
  for (const [name, [method, status]] of Object.entries(EMPTY)) {
    it(`announces no length for what has no body: ${name}`, async (t) => {
      const { socket, send, waitForStream } = await startCaller(t);
      send({ stream: true, method }, `\r\n${NEXT}`);
      const received = text(socket);
      const { handlers } = await waitForStream();
      handlers.onResponse?.({ status, reason: '', fields: ['Content-Length', '90'] });
      handlers.onEnd([]);
      const answer = await received;
      assert.doesNotMatch(answer, /content-length: 90/i);
      assert.match(answer, /\r\n0\r\n\r\nHTTP\/1\.1 404 /, 'the next answer is whole');
    });
  }

  for (const [length, ending] of [
    ['', 'resets it'],
    ['Content-Length: 90', 'resets it, or leaves it short'],
  ] as const) {
    it(`that breaks off is never whole to a caller who goes by the end of the connection (${ending})`, async (t) => {
      const { socket, waitForStream } = await startCaller(t);
      const header = toHeader({ via: 'connector', url: `http://${CRM.host}:${CRM.port}/api/x`, stream: true });
      socket.write(
        `POST /service-calls HTTP/1.0\r\nAuthorization: Bearer ${TOKEN}\r\nX-Service-Call: ${header}\r\n\r\n`,
      );
      const outcome = new Promise<string>((resolve) => {
        socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code ?? ''));
        socket.once('end', () => resolve('end'));
      });
      let received = '';
      socket.on('data', (chunk: Buffer) => {
        received += chunk.toString();
      });
      const { handlers } = await waitForStream();
      handlers.onResponse?.({ status: 200, reason: 'OK', fields: length === '' ? [] : length.split(': ') });
      handlers.onData(Buffer.from('half'));
      while (!received.endsWith('half')) await new Promise((resolve) => setImmediate(resolve));
      handlers.onReset('backend_failed');
      const end = await outcome;
      assert.ok(length !== '' || end === 'ECONNRESET', `${end}: ${received}`);
      assert.equal(/content-length: 90/i.test(received), length !== '');
    });
  }

  it('that fails while the body still comes is told, the connection whole until then', async (t) => {
    const { socket, send, waitForStream } = await startCaller(t);
    send({ method: 'POST' }, 'Content-Length: 10\r\n\r\n12345');
    const received = text(socket);
    const stream = await waitForStream();
    stream.handlers.onReset('backend_failed');
    socket.write('67890');
    assert.match(await received, /^HTTP\/1\.1 502 /);
  });
});
