import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';

import { BACKEND_IDLE_MS, MAX_BACKEND_HEAD_BYTES } from '../../../src/connector/backend.ts';
import type { Mapping } from '../../../src/connector/config/agent-config.ts';
import { MAX_INFORMATIONAL } from '../../../src/connector/relay-events.ts';
import type { RequestHead } from '../../../src/tunnel/messages.ts';
import {
  type RawBackend,
  type RelayUnderTest,
  startRawBackend,
  startRelay,
  toHead,
  toMapping,
} from '../../support/relay-under-test.ts';

const HOST = '127.0.0.1';

async function startHttp(listener: RequestListener): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(listener);
  server.listen(0, HOST);
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

async function withRelay(mapping: Mapping, use: (relay: RelayUnderTest) => Promise<void>): Promise<void> {
  const relay = await startRelay([mapping]);
  try {
    await use(relay);
  } finally {
    relay.stop();
  }
}

async function withBackend(
  answer: (socket: Socket, chunk: Buffer, before: number) => void,
  use: (relay: RelayUnderTest, backend: RawBackend) => Promise<void>,
  changes: Partial<Mapping> = {},
): Promise<void> {
  const backend = await startRawBackend(answer);
  try {
    await withRelay(toMapping(backend.port, changes), (relay) => use(relay, backend));
  } finally {
    backend.stop();
  }
}

const say =
  (text: string) =>
  (socket: Socket, _chunk: Buffer, at: number): void => {
    if (at === 0) socket.write(text, 'latin1');
  };
const sayAndEnd =
  (text: string) =>
  (socket: Socket): void =>
    void socket.end(text, 'latin1');
const sayAndReset =
  (text: string) =>
  (socket: Socket): void =>
    void socket.write(text, () => socket.resetAndDestroy());
const toError = (body: Buffer): unknown => JSON.parse(body.toString());

describe('a request through the relay', () => {
  it('reaches the application as the gateway rebuilt it, with the internal host', async () => {
    await withBackend(say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), async (relay, backend) => {
      const fields = ['X-One', '1', 'x-ONE', '2', 'Cookie', 'a=b', 'X-Forwarded-Host', 'evil', 'X-Raw', 'caf\xe9'];
      const answer = await relay.ask({ target: '/a%20b/?q=%zz', fields });
      assert.equal(answer.head?.status, 200);
      assert.equal(answer.body.toString(), 'ok');
      assert.equal(
        backend.received(),
        `GET /a%20b/?q=%zz HTTP/1.1\r\nHost: 127.0.0.1:${backend.port}\r\nX-One: 1\r\nx-ONE: 2\r\nCookie: a=b\r\n` +
          'X-Raw: caf\xe9\r\nX-Forwarded-Host: app.virtual:80\r\nConnection: keep-alive\r\n\r\n',
      );
    });
  });

  const FRAMINGS: Record<string, readonly [Partial<RequestHead>, string | undefined, RegExp]> = {
    'a POST without a body says so': [{ method: 'POST' }, undefined, /\r\nContent-Length: 0\r\n.*\r\n\r\n$/s],
    'a GET without a body says nothing': [{}, undefined, /^(?!.*(?:Content-Length|Transfer-Encoding))/s],
    'a body of a known length keeps it': [
      { method: 'POST', fields: ['content-length', '3'] },
      'abc',
      /\r\ncontent-length: 3\r\n.*\r\n\r\nabc$/s,
    ],
    'a body of an unknown length goes in chunks': [
      { method: 'PUT' },
      'abc',
      /\r\nTransfer-Encoding: chunked\r\n.*\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/s,
    ],
    'a DELETE with a body goes in chunks': [{ method: 'DELETE' }, 'abc', /\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/],
  };
  for (const [name, [changes, body, expected]] of Object.entries(FRAMINGS)) {
    it(name, async () => {
      let received = '';
      const onChunk = (socket: Socket, chunk: Buffer): void => {
        received += chunk.toString('latin1');
        if (body === undefined || received.includes(body)) socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      };
      await withBackend(onChunk, async (relay) => {
        const answer = await relay.ask(changes, body);
        assert.equal(answer.head?.status, 204);
        // The end of a chunked body may come behind the answer.
        const { answer: second } = relay.call(toHead({ method: 'HEAD' }));
        await second;
        assert.match(received.split('HEAD / HTTP')[0] ?? '', expected);
      });
    });
  }

  const SMUGGLED: Record<string, readonly [Partial<RequestHead>, string | undefined, number]> = {
    'a body that is longer than its Content-Length': [{ method: 'POST', fields: ['Content-Length', '2'] }, 'abcGET /admin HTTP/1.1\r\n\r\n', 400],
    'a body that is shorter than its Content-Length': [{ method: 'POST', fields: ['Content-Length', '9'] }, 'abc', 400],
    'a Content-Length without a body': [{ method: 'POST', fields: ['Content-Length', '9'] }, undefined, 400],
    'a method in small letters': [{ method: 'get' }, undefined, 400],
    'CONNECT': [{ method: 'CONNECT' }, undefined, 403],
    'an upgrade to h2c': [{ upgrade: 'h2c' }, undefined, 403],
    'an upgrade with a body': [{ upgrade: 'websocket', fields: ['Content-Length', '3'] }, 'abc', 400],
    'a dot segment': [{ target: '/a/%2e%2e/admin' }, undefined, 400],
    'another host': [{ to: { host: 'other.virtual', port: 80 } }, undefined, 403],
    'another port': [{ to: { host: 'app.virtual', port: 81 } }, undefined, 403],
  }; // prettier-ignore
  for (const [name, [changes, body, status]] of Object.entries(SMUGGLED)) {
    it(`is refused: ${name}`, async () => {
      const onChunk = (socket: Socket): void => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      await withBackend(
        (socket, chunk) => chunk.includes('\r\n\r\nabc') && onChunk(socket),
        async (relay, backend) => {
          const recorded = relay.nextRecord();
          const answer = await relay.ask(changes, body);
          assert.equal(answer.head?.status, status);
          assert.notEqual(answer.head?.connectorError, undefined);
          assert.deepEqual(Object.keys(toError(answer.body) as object), ['errors']);
          assert.doesNotMatch(backend.received(), /admin/);
          assert.match((await recorded).verdict, /forbidden|malformed/);
        },
      );
    });
  }

  it('is not taken while it could not be recorded', async () => {
    const relay = await startRelay([toMapping(1)], () => false);
    assert.equal((await relay.ask()).reset, 'refused');
    relay.stop();
  });
});

describe('an answer through the relay', () => {
  const WHOLE: Record<string, readonly [string, Partial<RequestHead>, { status: number; body?: string; fields?: readonly string[]; trailers?: readonly string[] }]> = {
    'keeps order, case and duplicates of its fields': [
      'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-b: c\r\nset-cookie: b=2\r\nContent-Length: 0\r\n\r\n', {},
      { status: 200, fields: ['Set-Cookie', 'a=1', 'X-b', 'c', 'set-cookie', 'b=2', 'Content-Length', '0'] },
    ],
    'loses what is for one hop': [
      'HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', {},
      { status: 200, fields: [] },
    ],
    'has its trailers': [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n', {},
      { status: 200, body: 'ok', trailers: ['X-Sum', '1', 'x-sum', '2'] },
    ],
    'to HEAD has no body and keeps its length': [
      'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n', { method: 'HEAD' }, { status: 200, body: '', fields: ['Content-Length', '99'] },
    ],
    'of 304 has no body and keeps its length': ['HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n', {}, { status: 304, body: '' }],
    'of 204 loses a length that it cannot have': [
      'HTTP/1.1 204 No Content\r\nX-A: b\r\nContent-Length: 90\r\n\r\n', {}, { status: 204, body: '', fields: ['X-A', 'b'] },
    ],
    'of 204': ['HTTP/1.1 204 No Content\r\n\r\n', {}, { status: 204, body: '' }],
    'that ends with its connection': ['HTTP/1.0 200 OK\r\n\r\nall of it', {}, { status: 200, body: 'all of it' }],
    'with a strange reason': ['HTTP/1.1 299 caf\xe9\r\nContent-Length: 0\r\n\r\n', {}, { status: 299 }],
    'with 500': ['HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno', {}, { status: 500, body: 'no' }],
    'with a body beside a GET that asked to upgrade': ['HTTP/1.1 426 No\r\nContent-Length: 2\r\n\r\nno', { upgrade: 'websocket' }, { status: 426, body: 'no' }],
  }; // prettier-ignore
  for (const [name, [text, changes, expected]] of Object.entries(WHOLE)) {
    it(name, async () => {
      await withBackend(text.startsWith('HTTP/1.0') ? sayAndEnd(text) : say(text), async (relay) => {
        const recorded = relay.nextRecord();
        const call = relay.call(toHead(changes), changes.upgrade === undefined);
        if (changes.upgrade !== undefined) void call.head.then(() => call.stream.end());
        const answer = await call.answer;
        assert.equal(answer.reset, undefined);
        assert.equal(answer.isWhole, true);
        assert.equal(answer.head?.status, expected.status);
        assert.equal(answer.head.connectorError, undefined);
        if (expected.body !== undefined) assert.equal(answer.body.toString(), expected.body);
        if (expected.fields !== undefined) assert.deepEqual(answer.head.fields, expected.fields);
        assert.deepEqual(answer.trailers, expected.trailers ?? []);
        assert.equal((await recorded).verdict, 'allowed');
      });
    });
  }

  const CUT: Record<string, (socket: Socket, chunk: Buffer, before: number) => void> = {
    'a length that is not met': sayAndEnd('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
    'a chunk that is not whole': sayAndEnd('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc'),
    'no last chunk': sayAndEnd('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'),
    'a chunk of garbage': say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n'),
    'a reset in the body': sayAndReset('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
    'a reset behind a body without a length': sayAndReset('HTTP/1.0 200 OK\r\n\r\nabc'),
    'too many trailers': say(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n${'X: 1\r\n'.repeat(201)}\r\n`),
    'trailers that cannot be told': say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: \x01\r\n\r\n'),
  }; // prettier-ignore
  for (const [name, onChunk] of Object.entries(CUT)) {
    it(`never looks whole: ${name}`, async () => {
      await withBackend(onChunk, async (relay) => {
        const recorded = relay.nextRecord();
        const answer = await relay.ask();
        assert.equal(answer.head?.status, 200);
        assert.equal(answer.isWhole, false);
        assert.equal(answer.reset, 'backend_failed');
        assert.equal((await recorded).verdict, 'failed');
      });
    });
  }

  it('never looks whole: a reset in a body without a length', async () => {
    const sockets: Socket[] = [];
    await withBackend((socket) => sockets.push(socket) && socket.write('HTTP/1.0 200 OK\r\n\r\nabc'), async (relay) => {
      const call = relay.call(toHead());
      call.onPart = () => sockets.forEach((socket) => socket.resetAndDestroy());
      assert.equal((await call.answer).reset, 'backend_failed');
    }); // prettier-ignore
  });

  const bomb = 'X-A: '.padEnd(1_000, 'a');
  const BROKEN: Record<string, (socket: Socket, chunk: Buffer, before: number) => void> = {
    'it closes at once': (socket) => socket.end(),
    'it resets at once': (socket) => socket.resetAndDestroy(),
    'it sends garbage': say('what do you want\r\n\r\n'),
    'it stops in the head': sayAndEnd('HTTP/1.1 200 OK\r\nContent-Le'),
    'its head is a bomb': say(`HTTP/1.1 200 OK\r\n${`${bomb}\r\n`.repeat(MAX_BACKEND_HEAD_BYTES / 1_000 + 1)}\r\n`),
    'it has too many fields': say(`HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(201)}Content-Length: 0\r\n\r\n`),
    'its fields are larger in the tunnel': say(`HTTP/1.1 200 OK\r\nX: ${'"'.repeat(20_000)}\r\nContent-Length: 0\r\n\r\n`),
    'a field that the tunnel refuses': say('HTTP/1.1 200 OK\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n'),
    'its status is none': say('HTTP/1.1 999 Far\r\nContent-Length: 0\r\n\r\n'),
    'it upgrades uninvited': say('HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
    'length and chunks at once': say('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    'a transfer coding inside the chunks': say('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
    'a transfer coding in a field of its own': say('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
    'chunks inside the chunks': say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
    'a transfer coding without chunks': sayAndEnd('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok'),
    'two lengths': say('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd'),
    'informational answers without end': say('HTTP/1.1 103 Early\r\n\r\n'.repeat(MAX_INFORMATIONAL + 1)),
  }; // prettier-ignore
  for (const [name, onChunk] of Object.entries(BROKEN)) {
    it(`is 502 where the application fails: ${name}`, async () => {
      await withBackend(onChunk, async (relay) => {
        const recorded = relay.nextRecord();
        const answer = await relay.ask();
        assert.equal(answer.head?.status, 502);
        assert.equal(answer.head.connectorError, 'application_failed');
        assert.deepEqual(toError(answer.body), { errors: [{ msg: 'the application broke off', code: 502 }] });
        assert.equal(answer.isWhole, true);
        assert.equal((await recorded).verdict, 'failed');
        assert.equal(relay.relay.inFlight, 0);
      });
    });
  }

  it('is 502 with the name of the application where nobody listens', async () => {
    for (const changes of [{}, { internalHost: 'no-such-host.invalid' }]) {
      await withRelay(toMapping(1, changes), async (relay) => {
        const answer = await relay.ask();
        const msg = '“App” is not reachable. Unable to communicate with the connector. Please try again.';
        assert.equal(answer.head?.connectorError, 'application_unreachable');
        assert.deepEqual(toError(answer.body), { errors: [{ msg, code: 502 }] });
      });
    }
  });

  it('is 504 where the application says nothing, and the connection is closed', async () => {
    const closed: Promise<unknown>[] = [];
    const onChunk = (socket: Socket): void => void closed.push(once(socket, 'close'));
    await withBackend(onChunk, async (relay) => {
      const answer = await relay.ask();
      assert.equal(answer.head?.connectorError, 'application_timeout');
      assert.equal(relay.records[0]?.verdict, 'timed_out');
      await Promise.all(closed);
    }, { timeoutSeconds: 0.1 }); // prettier-ignore
  });

  it('is cut where the application falls silent in the body', async () => {
    await withBackend(say('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'), async (relay) => {
      assert.equal((await relay.ask()).reset, 'timed_out');
    }, { timeoutSeconds: 0.1 }); // prettier-ignore
  });

  it('is 504 where the application takes nothing of the body', async () => {
    await withBackend((socket) => socket.pause(), async (relay) => {
      const call = relay.call(toHead({ method: 'POST' }), false);
      const part = Buffer.alloc(65_536);
      const send = (): void => {
        while (call.stream.write(part));
      };
      call.onDrain = send;
      send();
      assert.equal((await call.answer).head?.connectorError, 'application_timeout');
    }, { timeoutSeconds: 0.3 }); // prettier-ignore
  });

  it('has 100 and 103 before it, the body waiting for the 100', async () => {
    const { server, port } = await startHttp((_request, response) => response.end());
    server.on('checkContinue', (request, response) => {
      response.writeEarlyHints({ link: '</a>; rel=preload' });
      response.writeContinue();
      request.pipe(response);
    });
    await withRelay(toMapping(port), async (relay) => {
      const call = relay.call(
        toHead({ method: 'POST', fields: ['Expect', '100-continue', 'Content-Length', '3'] }),
        false,
      );
      call.onInformation = ({ status }) => {
        if (status !== 100) return;
        call.stream.write(Buffer.from('abc'));
        call.stream.end();
      };
      const answer = await call.answer;
      assert.deepEqual(answer.informational.map(({ status }) => status), [103, 100]); // prettier-ignore
      assert.deepEqual(answer.informational[0]?.fields, ['Link', '</a>; rel=preload']);
      assert.equal(answer.body.toString(), 'abc');
    });
    server.close();
  });

  it('comes before the body is complete, and the rest is taken', async () => {
    const onChunk = (socket: Socket, _chunk: Buffer, at: number): void => {
      if (at === 0) socket.end('HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    };
    await withBackend(onChunk, async (relay) => {
      const call = relay.call(toHead({ method: 'POST' }), false);
      call.stream.write(Buffer.alloc(1_000));
      const answer = await call.answer;
      assert.equal(answer.head?.status, 413);
      assert.equal(answer.isWhole, true);
      const recorded = relay.nextRecord();
      for (let at = 0; at < 20; at++) call.stream.write(Buffer.alloc(65_536));
      call.stream.end();
      const { verdict, requestBytes } = await recorded;
      assert.deepEqual({ verdict, requestBytes }, { verdict: 'allowed', requestBytes: 20 * 65_536 + 1_000 });
    });
  });

  it('is sent with the trailers of the request', async () => {
    const { server, port } = await startHttp((request, response) => {
      request.resume().on('end', () => response.end(JSON.stringify(request.rawTrailers)));
    });
    await withRelay(toMapping(port), async (relay) => {
      const call = relay.call(toHead({ method: 'POST' }), false);
      call.stream.write(Buffer.from('abc'));
      call.stream.end(['X-Sum', '1', 'Content-Length', '7']);
      assert.deepEqual(toError((await call.answer).body), ['X-Sum', '1']);
    });
    server.close();
  });

  it('that nobody wants any more is cut at the application at once', async () => {
    const { promise, resolve } = createSettled();
    await withBackend((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\nabc');
      socket.on('close', resolve);
    }, async (relay) => {
      const call = relay.call(toHead());
      await call.head;
      const recorded = relay.nextRecord();
      const atMs = performance.now();
      call.stream.reset('cancelled');
      await promise;
      assert.ok(performance.now() - atMs < 100);
      assert.equal((await recorded).verdict, 'cancelled');
    }); // prettier-ignore
  });
});

function createSettled(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve: () => resolve() };
}

describe('a connection that is kept', () => {
  let server: Server;
  let port = 0;
  const seen: string[] = [];
  before(async () => {
    ({ server, port } = await startHttp((request, response) => {
      seen.push(`${request.method} ${request.socket.remotePort}`);
      response.end('ok');
    }));
  });
  after(() => server.close());

  it('serves the next request', async () => {
    seen.length = 0;
    await withRelay(toMapping(port), async (relay) => {
      await relay.ask();
      await relay.ask();
      assert.equal(new Set(seen).size, 1);
    });
  });

  const STALE: Record<string, readonly [Partial<RequestHead>, string | undefined, number]> = {
    'GET is sent again': [{}, undefined, 200],
    'PUT without a body is sent again': [{ method: 'PUT' }, undefined, 200],
    'POST is never sent again': [{ method: 'POST' }, undefined, 502],
    'PUT with a body is never sent again': [{ method: 'PUT' }, 'abc', 502],
  };
  for (const [name, [changes, body, status]] of Object.entries(STALE)) {
    it(`is reset under the next one: ${name}`, async () => {
      await withBackend((socket, _chunk, at) => {
        if (at === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        else socket.resetAndDestroy();
      }, async (relay, backend) => {
        await relay.ask();
        assert.equal((await relay.ask(changes, body)).head?.status, status);
        assert.equal(backend.connections(), status === 200 ? 2 : 1);
      }); // prettier-ignore
    });
  }

  it('is sent again once, not twice', async () => {
    let requests = 0;
    await withBackend((socket) => {
      if (requests++ === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      else socket.resetAndDestroy();
    }, async (relay, backend) => {
      await relay.ask();
      assert.equal((await relay.ask()).head?.status, 502);
      assert.equal(backend.connections(), 2);
    }); // prettier-ignore
  });

  it('is not sent again where something has come back', async () => {
    let requests = 0;
    await withBackend((socket) => {
      if (requests++ === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      else socket.write('HTT', () => socket.resetAndDestroy());
    }, async (relay) => {
      await relay.ask();
      assert.equal((await relay.ask()).head?.status, 502);
      assert.equal(requests, 2);
    }); // prettier-ignore
  });

  it('is closed at once with an access control that is no longer in force', async () => {
    const { promise: closed, resolve } = createSettled();
    await withBackend((socket) => {
      socket.on('close', resolve).write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    }, async (relay) => {
      await relay.ask();
      const atMs = performance.now();
      relay.relay.update([]);
      await closed;
      assert.ok(performance.now() - atMs < BACKEND_IDLE_MS / 2);
    }); // prettier-ignore
  });

  it('ends with an access control that is no longer in force, after what runs on it', async () => {
    let release = (): void => undefined;
    const slow = await startHttp((_request, response) => {
      release = () => void response.end('late');
      response.flushHeaders();
    });
    await withRelay(toMapping(slow.port), async (relay) => {
      const call = relay.call(toHead());
      await call.head;
      relay.relay.update([toMapping(port, { virtualHost: 'new.virtual' })]);
      const { head } = await relay.ask();
      assert.equal(head?.connectorError, 'application_unknown');
      assert.equal(head.reason, 'Forbidden');
      assert.deepEqual(head.fields.slice(-2), ['Cache-Control', 'no-store']);
      assert.equal((await relay.ask({ to: { host: 'new.virtual', port: 80 } })).body.toString(), 'ok');
      release();
      assert.equal((await call.answer).body.toString(), 'late');
      await once(slow.server.close(), 'close');
    });
  });
});
