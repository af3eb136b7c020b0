import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';

import { WebSocket } from 'ws';

import {
  type Connector,
  type ConnectorChain,
  type GatewayProcess,
  startConnectorChain,
  waitUntil,
} from '../support/connector-chain.ts';
import type { Child } from '../support/child.ts';
import { runCurl } from '../support/curl.ts';
import { findListening } from '../support/listening.ts';
import { getFreePort } from '../support/processes.ts';
import { connectRaw, type RawClient } from '../support/raw-client.ts';
import { type Shown, startTestOrigin, type TestOrigin } from '../support/test-origin.ts';

const HOST = '127.0.0.1';
const ORIGIN = 'crm.virtual:8080';
/** The first event of a stream, and a caller's leave, reach the other end so soon. Of several tries the best counts: a machine may be busy. */
const FIRST_EVENT_MS = 50;
const ABORT_MS = 100;
const TRIES = 7;

let chain: ConnectorChain;
let origin: TestOrigin;
let gateway: GatewayProcess;
let connector: Connector;
let agent: Child;
let token = '';
let clients: RawClient[] = [];
/** Reads and says nothing. */
let silent: Server;
/** Says one thing and breaks off. */
let breaker: Server;
let breaking: { text: string; isReset: boolean; when?: Promise<unknown> } = { text: '', isReset: false };

before(async () => {
  [chain, origin] = await Promise.all([startConnectorChain(), startTestOrigin()]);
  breaker = createServer((socket) => {
    const { text, isReset, when = Promise.resolve() } = breaking;
    const end = (): void => void when.then(() => (isReset ? socket.resetAndDestroy() : socket.end()));
    socket.on('error', () => undefined);
    socket.once('data', () => void (text === '' ? end() : socket.write(text, 'latin1', end)));
  });
  breaker.listen(0, HOST);
  await once(breaker, 'listening');
  silent = createServer((socket) => void socket.on('error', () => undefined).resume());
  silent.listen(0, HOST);
  await once(silent, 'listening');
  gateway = await chain.startGateway();
  connector = await chain.addConnector();
  token = await chain.addCaller();
  const crm = { virtualhost: 'crm.virtual', internalhost: HOST, protocol: 'http', allowedPaths: '/*' };
  const installed = await chain.install(connector, {
    gatewayUrls: [gateway.agentUrl],
    config: { cluster: { enabled: false } },
    mappings: [
      { ...crm, virtualport: 8080, internalport: origin.port, upgrade: true },
      { ...crm, virtualport: 8081, internalport: origin.port },
      { ...crm, virtualport: 8082, internalport: await getFreePort() },
      { ...crm, virtualport: 8083, internalport: (breaker.address() as AddressInfo).port },
      { ...crm, virtualport: 8084, internalport: (silent.address() as AddressInfo).port, upgrade: true },
    ],
  });
  agent = await installed.start();
  await waitUntil('the first answer', async () => (await runCurl(...toProxy(), `http://${ORIGIN}/`)).status === 200);
});
after(async () => {
  breaker.close();
  silent.close();
  await Promise.all([chain.stop(), origin.stop()]);
});
beforeEach(() => {
  for (const { socket } of clients) socket.destroy();
  clients = [];
});

const toProxy = (): readonly string[] => ['-x', `http://${token}@${HOST}:${gateway.callerPort}`];

async function connect(): Promise<RawClient> {
  const client = await connectRaw(gateway.callerPort);
  clients.push(client);
  return client;
}

/** A request in absolute form, with the credential. */
const toRequest = (method: string, path: string, fields: readonly string[] = [], body = '', version = '1.1'): string =>
  [
    `${method} http://${ORIGIN}${path} HTTP/${version}`,
    `Host: ${ORIGIN}`,
    `Proxy-Authorization: Bearer ${token}`,
    ...fields,
    '',
    body,
  ].join('\r\n');

/** Sends one request on a connection that closes behind it. */
async function ask(method: string, path: string, fields: readonly string[] = [], body = ''): Promise<string> {
  const client = await connect();
  client.send(toRequest(method, path, ['Connection: close', ...fields], body));
  return client.waitForEnd();
}

const toBody = (answer: string): string => answer.slice(answer.indexOf('\r\n\r\n') + 4);
const toShown = (answer: string): Shown => {
  assert.equal(toStatus(answer), 200, answer);
  return JSON.parse(Buffer.from(toBody(answer), 'latin1').toString('utf8')) as Shown;
};
const toStatus = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);

describe('the header fields', () => {
  it('of a request keep order, case and duplicates', async () => {
    const fields = ['X-b: 1', 'x-A: 2', 'X-b: 3', 'Cookie: a=1', 'X-Empty:', 'x-latin: \xe4\xf6', 'User-Agent: T/1'];
    const { fields: seen } = toShown(await ask('GET', '/show?a=1', fields));
    const wanted = [
      'Host',
      `${HOST}:${origin.port}`,
      ...fields.flatMap((field) => field.split(/: ?/)),
      'X-Forwarded-Host',
      ORIGIN,
    ];
    assert.deepEqual(
      seen.filter((_, at) => !isConnection(seen, at)),
      wanted,
    );
  });

  it('of an answer keep order, case and duplicates', async () => {
    const given = ['X-Two', '2', 'set-cookie', 'a=1', 'Set-Cookie', 'b=2', 'x-one', '1', 'Content-Length', '0'];
    origin.on('/fields', (_, res) => {
      res.sendDate = false;
      res.writeHead(200, 'Quite Fine', given).end();
    });
    const lines = (await ask('GET', '/fields')).split('\r\n').filter((line) => !/^(?:connection|$)/i.test(line));
    const wanted = ['X-Two: 2', 'set-cookie: a=1', 'Set-Cookie: b=2', 'x-one: 1', 'Content-Length: 0'];
    assert.deepEqual(lines, ['HTTP/1.1 200 Quite Fine', ...wanted]);
  });

  it('that are for one hop end there, both ways', async () => {
    origin.on('/hops', (req, res) => {
      const body = JSON.stringify(req.rawHeaders);
      const fields = ['Connection', 'X-Hop', 'X-Hop', '1', 'Keep-Alive', 'timeout=9', 'Proxy-Authenticate', 'Basic'];
      res.writeHead(200, [...fields, 'X-Connector-Error', 'forged', 'Content-Length', String(body.length)]).end(body);
    });
    const given = [
      'Connection: x-mine, Authorization',
      'X-Mine: 1',
      'Authorization: Bearer users',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'TE: trailers',
      'Proxy: http://evil',
      'X-Kept: 1',
    ];
    const answer = await ask('GET', '/hops', given);
    const seen = toBody(answer).toLowerCase();
    for (const name of ['proxy-authorization', 'x-mine', 'keep-alive":"t', 'proxy-connection', '"te"', '"proxy"']) {
      assert.ok(!seen.includes(name), `${name}: ${seen}`);
    }
    assert.ok(!seen.includes(token.toLowerCase()));
    // It is not the caller's to have the user's credential dropped on the way.
    for (const kept of ['x-kept', 'bearer users']) assert.ok(seen.includes(kept), kept);
    for (const name of ['x-hop', 'keep-alive: timeout=9', 'proxy-authenticate', 'forged']) {
      assert.ok(!answer.slice(0, answer.indexOf('\r\n\r\n')).toLowerCase().includes(name), name);
    }
  });
});

const isConnection = (fields: readonly string[], at: number): boolean =>
  fields[at - (at % 2)]?.toLowerCase() === 'connection';

describe('bodies', () => {
  it('have their length or are chunked, as they came, both ways', async () => {
    const sized = toShown(await ask('POST', '/show', ['Content-Length: 5'], 'hello'));
    assert.deepEqual([sized.bytes, toValue(sized.fields, 'transfer-encoding')], [5, undefined]);
    assert.equal(toValue(sized.fields, 'content-length'), '5');
    const chunks = '5\r\nhello\r\n1;name=value\r\n!\r\n0\r\n\r\n';
    const chunked = toShown(await ask('POST', '/show', ['Transfer-Encoding: chunked'], chunks));
    assert.deepEqual([chunked.bytes, toValue(chunked.fields, 'transfer-encoding')], [6, 'chunked']);
    origin.on('/chunked', (_, res) => {
      res.write('one');
      res.end('two');
    });
    const answer = await ask('GET', '/chunked');
    assert.match(answer, /transfer-encoding: chunked/i);
    assert.equal(toBody(answer), '3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n');
  });

  it('have their trailers, both ways', async () => {
    const chunks = '2\r\nhi\r\n0\r\nX-Sum: 7\r\nx-Sum: 8\r\nAuthorization: no\r\n\r\n';
    const { trailers } = toShown(await ask('POST', '/show', ['Transfer-Encoding: chunked'], chunks));
    assert.deepEqual(trailers, ['X-Sum', '7', 'x-Sum', '8']);
    origin.on('/trailers', (_, res) => {
      res.writeHead(200, { trailer: 'X-Check' });
      res.write('body');
      res.addTrailers({ 'X-Check': 'abc' });
      res.end();
    });
    assert.match(await ask('GET', '/trailers'), /\r\n0\r\nX-Check: abc\r\n\r\n$/);
  });

  it('of 100 MB go through in both directions at once', async () => {
    origin.on('/echo', (req, res) => void req.pipe(res));
    const chunk = Buffer.alloc(1_000_000, 'x');
    const client = await connect();
    client.socket.setEncoding();
    client.send(toRequest('POST', '/echo', ['Transfer-Encoding: chunked']));
    let bytes = 0;
    const echoed = (async () => {
      for await (const part of client.socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer | string>) {
        bytes += part.length;
        if (String(part).endsWith('\r\n0\r\n\r\n')) return;
      }
    })();
    for (let at = 0; at < 100; at++) {
      client.socket.write(`${chunk.length.toString(16)}\r\n`);
      client.socket.write(chunk);
      if (!client.socket.write('\r\n')) await once(client.socket, 'drain');
    }
    client.send('0\r\n\r\n');
    await echoed;
    assert.ok(bytes > 100_000_000, `${bytes} bytes`);
  });

  const WITHOUT: Readonly<Record<string, readonly [status: number, method: string, fields: readonly string[]]>> = {
    'to HEAD': [200, 'HEAD', ['Content-Length', '1234', 'ETag', '"1"']],
    'of 204': [204, 'GET', ['ETag', '"2"']],
    'of 304': [304, 'GET', ['ETag', '"3"', 'Content-Length', '1234']],
  };
  for (const [name, [status, method, fields]] of Object.entries(WITHOUT)) {
    it(`an answer ${name} has none, and the next one comes behind it`, async () => {
      origin.on('/none', (_, res) => void res.writeHead(status, [...fields]).end());
      const client = await connect();
      client.send(toRequest(method, '/none') + toRequest('GET', '/show', ['Connection: close']));
      const [first = '', second = '', ...rest] = (await client.waitForEnd()).split(/(?=HTTP\/1\.1 )/);
      assert.equal(toStatus(first), status);
      assert.equal(toBody(first), '');
      for (let at = 0; at < fields.length; at += 2) assert.ok(first.includes(`${fields[at]}: ${fields[at + 1]}\r\n`));
      assert.deepEqual([toStatus(second), rest], [200, []]);
    });
  }

  it('may be a part', async () => {
    origin.on('/range', (req, res) => {
      res.writeHead(206, { 'content-range': 'bytes 2-4/9', 'content-length': 3, 'x-asked': req.headers.range });
      res.end('cde');
    });
    const answer = await ask('GET', '/range', ['Range: bytes=2-4', 'If-Range: "1"']);
    assert.equal(toStatus(answer), 206);
    assert.match(answer, /content-range: bytes 2-4\/9\r\n/);
    assert.match(answer, /x-asked: bytes=2-4\r\n/);
    assert.equal(toBody(answer), 'cde');
  });
});

const toValue = (fields: readonly string[], name: string): string | undefined =>
  fields[fields.findIndex((field, at) => at % 2 === 0 && field.toLowerCase() === name) + 1 || fields.length];

describe('a connection', () => {
  it('of an HTTP/1.0 caller gets the bare body, and is closed', async () => {
    origin.on('/old', (_, res) => {
      res.write('one');
      res.end('two');
    });
    const client = await connect();
    client.send(toRequest('GET', '/old', [], '', '1.0'));
    const answer = await client.waitForEnd();
    assert.doesNotMatch(answer, /transfer-encoding/i);
    assert.equal(toBody(answer), 'onetwo');
  });

  it('serves requests that were sent at once, in their order', async () => {
    const client = await connect();
    const posts = [1, 2, 3].map((number) => toRequest('POST', `/show?${number}`, ['Content-Length: 3'], 'abc'));
    client.send(posts.join('') + toRequest('GET', '/show?4', ['Connection: close']));
    const answers = (await client.waitForEnd()).split(/(?=HTTP\/1\.1 )/).map(toShown);
    assert.deepEqual(
      answers.map(({ target, bytes }) => `${target} ${bytes}`),
      ['/show?1 3', '/show?2 3', '/show?3 3', '/show?4 0'],
    );
  });

  it('survives a refusal of a request that was read to its end', async () => {
    const client = await connect();
    client.send(toRequest('GET', '/../x') + toRequest('GET', '/show', ['Connection: close']));
    const statuses = (await client.waitForEnd()).split(/(?=HTTP\/1\.1 )/).map(toStatus);
    assert.deepEqual(statuses, [400, 200]);
  });
});

describe('informational answers', () => {
  it('a 100 is the application’s, never the gateway’s', async () => {
    let goOn: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      origin.onContinue('/continue', (req, res) => {
        goOn = () => res.writeContinue();
        req.resume().once('end', () => res.end('thanks'));
        resolve();
      });
    });
    const client = await connect();
    client.send(toRequest('POST', '/continue', ['Expect: 100-continue', 'Content-Length: 5']));
    await asked;
    assert.equal(client.received(), '');
    goOn();
    await client.waitFor(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    client.send('hello');
    assert.match(await client.waitFor(/thanks/), /\r\n\r\nHTTP\/1\.1 200 /);
  });

  it('a body that the application does not want is not asked for', async () => {
    origin.onContinue('/refuse', (_, res) => void res.writeHead(417, { connection: 'close' }).end());
    const client = await connect();
    client.send(toRequest('POST', '/refuse', ['Expect: 100-continue', 'Content-Length: 5']));
    assert.match(await client.waitForEnd(), /^HTTP\/1\.1 417 /);
  });

  it('curl waits for a 100 and gets it', async () => {
    const body = 'x'.repeat(2_000);
    const args = ['-H', 'Expect: 100-continue', '--expect100-timeout', '30', '-d', body];
    const { status, statusLines } = await runCurl(...toProxy(), ...args, `http://${ORIGIN}/show`);
    assert.deepEqual([status, statusLines.length], [200, 2]);
    assert.match(statusLines[0] ?? '', /^HTTP\/1\.1 100 /);
  });

  it('a 103 comes before the answer', async () => {
    origin.on('/hints', (_, res) => {
      res.writeEarlyHints({ link: '</style.css>; rel=preload' });
      res.end('page');
    });
    const answer = await ask('GET', '/hints');
    assert.match(answer, /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/style\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 /i);
  });
});

interface SocketRoute {
  readonly url: () => string;
  readonly fields: () => Readonly<Record<string, string>>;
  /** The target of the request line, where it is not of the origin form. */
  readonly target?: string;
}

const SOCKET_ROUTES: Readonly<Record<string, SocketRoute>> = {
  'by the forward proxy': {
    url: () => `ws://${HOST}:${gateway.callerPort}/`,
    fields: () => ({ 'Proxy-Authorization': `Bearer ${token}` }),
    target: `http://${ORIGIN}/socket?a=1`,
  },
  'by the reverse route': {
    url: () => `ws://${HOST}:${gateway.callerPort}/${connector.id}/crm.virtual/8080/socket?a=1`,
    fields: () => ({ 'X-Connector-Authorization': `Bearer ${token}` }),
  },
};

function openSocket({ url, fields, target }: SocketRoute): WebSocket {
  return new WebSocket(url(), {
    headers: fields(),
    finishRequest: (request) => {
      if (target !== undefined) request.path = target;
      request.end();
    },
  });
}

describe('web sockets', () => {
  for (const [name, route] of Object.entries(SOCKET_ROUTES)) {
    it(`carry messages both ways ${name}`, async () => {
      const socket = openSocket(route);
      await once(socket, 'open');
      const big = Buffer.alloc(3_000_000, 'b');
      for (const message of ['hello', big, '']) {
        socket.send(message);
        const [data, isBinary] = (await once(socket, 'message')) as [Buffer, boolean];
        assert.deepEqual([data.equals(Buffer.from(message)), isBinary], [true, typeof message !== 'string']);
      }
      socket.ping('beat');
      assert.equal(String(((await once(socket, 'pong')) as [Buffer])[0]), 'beat');
      socket.close(4001, 'enough');
      const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
      assert.deepEqual([code, String(reason), origin.targets.at(-1)], [4001, 'enough', '/socket?a=1']);
    });
  }

  const REFUSED: Readonly<Record<string, readonly [target: string, credential: () => string, status: number]>> = {
    'to an application that does not allow it': ['http://crm.virtual:8081/socket', () => token, 403],
    'to an application that is not there': ['http://crm.virtual:8082/socket', () => token, 403],
    'to an unknown application': ['http://erp.virtual/socket', () => token, 403],
    'without a right credential': [`http://${ORIGIN}/socket`, () => 'wrong', 407],
  };
  for (const [name, [target, credential, status]] of Object.entries(REFUSED)) {
    it(`are refused ${name}`, async () => {
      const seen = origin.targets.length;
      const url = (): string => `ws://${HOST}:${gateway.callerPort}/`;
      const socket = openSocket({ url, target, fields: () => ({ 'Proxy-Authorization': `Bearer ${credential()}` }) });
      const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
      assert.equal(answer.statusCode, status);
      assert.ok(answer.headers['x-connector-error']);
      answer.destroy();
      assert.equal(origin.targets.length, seen);
    });
  }
});

describe('the agent', () => {
  it('listens nowhere', async () => {
    assert.deepEqual(await findListening(agent.pid), []);
    assert.equal((await findListening(gateway.pid)).length, 2, 'what listens is found');
  });
});

describe('in time', () => {
  it('the first event of a stream comes at once', async (t) => {
    origin.on('/events', (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream', 'x-sent-at': String(performance.now()) });
      res.write('data: first\n\n');
    });
    const measure = async (port: number): Promise<number> => {
      const client = await connectRaw(port);
      clients.push(client);
      const startedAt = performance.now();
      client.send(toRequest('GET', '/events'));
      await client.waitFor(/data: first\n\n/);
      client.socket.destroy();
      return performance.now() - startedAt;
    };
    await measure(gateway.callerPort);
    const figures: number[] = [];
    for (let at = 0; at < TRIES; at++) figures.push(await measure(gateway.callerPort));
    const best = Math.min(...figures);
    t.diagnostic(`first event after ${figures.map((ms) => ms.toFixed(1)).join(', ')} ms`);
    assert.ok(best < FIRST_EVENT_MS, `${best} ms`);
  });

  const MOMENTS: Readonly<
    Record<string, { prepare: (res: ServerResponse) => void; request: () => string; until: RegExp | undefined }>
  > = {
    'before the answer': { prepare: () => undefined, request: () => toRequest('GET', '/abort'), until: undefined },
    'in the answer': {
      prepare: (res) => void res.write('begun'),
      request: () => toRequest('GET', '/abort'),
      until: /begun/,
    },
    'in the request': {
      prepare: () => undefined,
      request: () => toRequest('POST', '/abort', ['Content-Length: 100'], 'half'),
      until: undefined,
    },
  };
  for (const [name, { prepare, request, until }] of Object.entries(MOMENTS)) {
    it(`a caller who leaves ${name} is gone for the application, too`, async (t) => {
      const measure = async (): Promise<number> => {
        const reached = new Promise<ServerResponse>((resolve) => {
          origin.on('/abort', (_, res) => {
            prepare(res);
            resolve(res);
          });
        });
        const client = await connect();
        client.send(request());
        const res = await reached;
        if (until !== undefined) await client.waitFor(until);
        const closed = once(res, 'close');
        const startedAt = performance.now();
        client.socket.destroy();
        await closed;
        return performance.now() - startedAt;
      };
      const figures: number[] = [];
      for (let at = 0; at < TRIES; at++) figures.push(await measure());
      t.diagnostic(`the application knows after ${figures.map((ms) => ms.toFixed(1)).join(', ')} ms`);
      assert.ok(Math.min(...figures) < ABORT_MS, `${figures.join()} ms`);
    });
  }

  for (const [name, leave] of Object.entries({
    'ends his connection': (client: RawClient) => client.socket.end(),
    'resets it': (client: RawClient) => client.socket.resetAndDestroy(),
  })) {
    it(`a caller who ${name} before his upgrade is answered is gone for the application, too`, async (t) => {
      const figures: number[] = [];
      for (let at = 0; at < TRIES; at++) {
        const accepted = once(silent, 'connection') as Promise<[Socket]>;
        const client = await connect();
        client.send(
          toRequest('GET', '/live', ['Connection: Upgrade', 'Upgrade: websocket']).replaceAll(
            ORIGIN,
            'crm.virtual:8084',
          ),
        );
        const [socket] = await accepted;
        await once(socket, 'data');
        const closed = once(socket, 'close');
        const startedAt = performance.now();
        leave(client);
        await closed;
        figures.push(performance.now() - startedAt);
      }
      t.diagnostic(`the application knows after ${figures.map((ms) => ms.toFixed(1)).join(', ')} ms`);
      assert.ok(Math.min(...figures) < ABORT_MS, `${figures.join()} ms`);
    });
  }
});

describe('an application that breaks off', () => {
  const BROKEN: Readonly<Record<string, readonly [string, status: number]>> = {
    'before it answers': ['', 502],
    'in its head': ['HTTP/1.1 200 OK\r\nContent-Le', 502],
    'in a body with a length': ['HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', 0],
    'in a chunk': ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf', 0],
    'between two chunks': ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', 0],
    'with a reset, in a body without a length': ['HTTP/1.1 200 OK\r\n\r\nhalf', 0],
  };
  for (const [name, [text, status]] of Object.entries(BROKEN)) {
    it(`${name} never looks whole`, async () => {
      const client = await connect();
      // A reset right behind the last byte looks like an end to Node.
      const isReset = name.includes('reset');
      breaking = { text, isReset, ...(isReset && { when: client.waitFor(/half/) }) };
      client.send(toRequest('GET', '/broken').replaceAll(ORIGIN, 'crm.virtual:8083'));
      const answer = await (status > 0 ? client.waitFor(/\r\n\r\n\{.*\}/) : client.waitForEnd());
      assert.equal(toStatus(answer), status > 0 ? status : 200);
      if (status > 0) assert.match(answer, /x-connector-error: application_failed/i);
      else assert.doesNotMatch(answer, /\r\n0\r\n\r\n$/);
      if (isReset) return;
      const curl = await runCurl(...toProxy(), 'http://crm.virtual:8083/broken');
      assert.ok(curl.status === 502 || curl.code !== 0, `curl took it for whole: ${curl.body}`);
    });
  }

  it('is not confounded with one that ends a body without a length', async () => {
    breaking = { text: 'HTTP/1.1 200 OK\r\n\r\nwhole', isReset: false };
    const { code, body } = await runCurl(...toProxy(), 'http://crm.virtual:8083/');
    assert.deepEqual([code, body], [0, 'whole']);
  });
});

describe('what would be read in two ways', () => {
  const line = (target: string, version = 'HTTP/1.1'): string => `GET ${target} ${version}\r\n`;
  const credential = (): string => `Proxy-Authorization: Bearer ${token}\r\n`;
  const url = `http://${ORIGIN}/smuggled`;
  const ATTACKS: Readonly<Record<string, readonly [bytes: () => string, status: number]>> = {
    'a length beside chunks': [
      () =>
        `POST ${url} HTTP/1.1\r\nHost: a\r\n${credential()}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG`,
      400,
    ],
    'two lengths': [
      () => `POST ${url} HTTP/1.1\r\nHost: a\r\n${credential()}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
      400,
    ],
    'a length with a sign': [
      () => `POST ${url} HTTP/1.1\r\nHost: a\r\n${credential()}Content-Length: +1\r\n\r\na`,
      400,
    ],
    'a coding that is not chunked': [
      () => `POST ${url} HTTP/1.1\r\nHost: a\r\n${credential()}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    'a coding with a tab': [
      () => `POST ${url} HTTP/1.1\r\nHost: a\r\n${credential()}Transfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n`,
      400,
    ],
    'two hosts': [() => `${line(url)}Host: a\r\nHost: b\r\n${credential()}\r\n`, 400],
    'a folded field': [() => `${line(url)}Host: a\r\n${credential()}X-Folded: a\r\n b\r\n\r\n`, 400],
    'a blank before the colon': [() => `${line(url)}Host: a\r\n${credential()}X-Blank : a\r\n\r\n`, 400],
    'a bare line feed': [() => `${line(url)}Host: a\n${credential()}X-A: b\nX-C: d\r\n\r\n`, 400],
    'a control byte in a field': [() => `${line(url)}Host: a\r\n${credential()}X-A: b\x01c\r\n\r\n`, 400],
    'a zero byte in a field': [() => `${line(url)}Host: a\r\n${credential()}X-A: b\x00c\r\n\r\n`, 400],
    'a user in the URL': [() => `${line(`http://a@${ORIGIN}/smuggled`)}Host: a\r\n${credential()}\r\n`, 400],
    'a fragment': [() => `${line(`${url}#a`)}Host: a\r\n${credential()}\r\n`, 400],
    'a control byte in the URL': [() => `${line(`${url}\x01`)}Host: a\r\n${credential()}\r\n`, 400],
    'a backslash': [() => `${line(`http://${ORIGIN}/a\\smuggled`)}Host: a\r\n${credential()}\r\n`, 400],
    'an encoded slash': [() => `${line(`http://${ORIGIN}/a%2fsmuggled`)}Host: a\r\n${credential()}\r\n`, 400],
    dots: [() => `${line(`http://${ORIGIN}/a/%2e%2e/smuggled`)}Host: a\r\n${credential()}\r\n`, 400],
    'a method in small letters': [() => `get ${url} HTTP/1.1\r\nHost: a\r\n${credential()}\r\n`, 400],
    'an unknown version': [() => `${line(url, 'HTTP/3.7')}Host: a\r\n${credential()}\r\n`, 400],
    'two credentials': [() => `${line(url)}Host: a\r\n${credential()}${credential()}\r\n`, 407],
    'more header fields than fit': [
      () => `${line(url)}Host: a\r\n${credential()}X-A: ${'a'.repeat(70_000)}\r\n\r\n`,
      431,
    ],
    'header fields without number': [() => `${line(url)}Host: a\r\n${credential()}${'A: b\r\n'.repeat(900)}\r\n`, 400],
  };
  for (const [name, [bytes, status]] of Object.entries(ATTACKS)) {
    it(`${name} is refused with ${status}, and does not reach the application`, async () => {
      const seen = origin.targets.length;
      const client = await connect();
      client.send(bytes());
      const answer = await client.waitFor(/\r\n\r\n\{.*\}/);
      assert.equal(toStatus(answer), status, answer);
      // What comes behind is not read as a request either, unless this one was read to its end.
      assert.equal((answer.match(/HTTP\/1\.1 /g) ?? []).length, 1, answer);
      await ask('GET', '/show');
      assert.deepEqual(origin.targets.slice(seen), ['/show']);
    });
  }

  it('a chunk that is none cuts the request that has begun', async () => {
    const ended = new Promise<boolean>((resolve) => {
      origin.on('/cut', (req) => {
        req.resume();
        req.once('close', () => resolve(req.complete));
      });
    });
    const client = await connect();
    client.send(`${toRequest('POST', '/cut', ['Transfer-Encoding: chunked'])}5\r\nhello\r\n`);
    await waitUntil('the application has the head', () => origin.targets.at(-1) === '/cut');
    client.send('0x5\r\nhello\r\n0\r\n\r\n');
    assert.match(await client.waitForEnd(), /^HTTP\/1\.1 400 /);
    assert.equal(await ended, false);
  });

  it('goes by the URL where Host says another', async () => {
    const client = await connect();
    client.send(`${line(`http://${ORIGIN}/show`)}Host: evil.virtual\r\n${credential()}Connection: close\r\n\r\n`);
    const { fields } = toShown(await client.waitForEnd());
    assert.deepEqual(
      fields.filter((_, at) => at % 2 === 1 && fields[at - 1]?.toLowerCase() === 'host'),
      [`${HOST}:${origin.port}`],
    );
  });

  const BOMBS: Readonly<Record<string, (res: ServerResponse) => void>> = {
    'a field of 40 KB': (res) => void res.writeHead(200, { 'x-a': 'a'.repeat(40_000) }).end('body'),
    '300 fields': (res) =>
      void res
        .writeHead(
          200,
          Array.from({ length: 600 }, (_, at) => `x${at}`),
        )
        .end('body'),
    'a thousand hints': (res) => {
      for (let at = 0; at < 1_000; at++) res.writeProcessing();
      res.end('body');
    },
  };
  for (const [name, prepare] of Object.entries(BOMBS)) {
    it(`${name} of the application is a 502, and harms nobody else`, async () => {
      origin.on('/bomb', (_, res) => prepare(res));
      const answers = await Promise.all([ask('GET', '/bomb'), ask('GET', '/show')]);
      assert.deepEqual(answers.map(toStatus), [502, 200], answers[0]);
    });
  }
});
