import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingHttpHeaders, request, type RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { type ListenDeps, listenForPushes, MAX_PUSHES } from '../../../../src/connector/webhooks/listen.ts';
import { KeyReusedError, type Pushed, SpoolFullError } from '../../../../src/connector/webhooks/spool.ts';
import { MAX_WEBHOOK_BYTES } from '../../../../src/tunnel/services.ts';
import { waitUntil } from '../../../support/connector-chain.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

async function start(
  t: TestContext,
  add?: (pushed: Pushed) => Promise<{ id: string; isNew: boolean }>,
  changes: Partial<ListenDeps> = {},
) {
  const pushed: Pushed[] = [];
  const audits: Readonly<Record<string, unknown>>[] = [];
  const failures: unknown[] = [];
  const listener = await listenForPushes({
    port: 0,
    routes: () => [
      { path: '/alerts', target: 'alerts' },
      { path: '/orders/new', target: 'https://hooks.example/in?credential=1' },
    ],
    spool: {
      add: (given) => {
        pushed.push(given);
        return add?.(given) ?? Promise.resolve({ id: 'msg_1', isNew: true });
      },
    },
    canRecord: () => true,
    audit: (fields) => void audits.push(fields),
    onFailure: (error) => void failures.push(error),
    ...changes,
  });
  t.after(() => listener.close());
  const push = (options: RequestOptions, body: string | Buffer = ''): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const req = request(
        { host: '127.0.0.1', port: listener.port, method: 'POST', path: '/alerts', ...options },
        (res) => {
          let text = '';
          res.setEncoding('utf8').on('data', (part: string) => (text += part));
          res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body: text }));
          res.on('error', reject);
        },
      );
      req.on('error', reject);
      req.end(body);
    });
  return { listener, push, pushed, audits, failures };
}

describe('the port for webhooks', () => {
  it('takes a message with the fields that belong to it and no other', async (t) => {
    const { push, pushed, audits } = await start(t);
    const headers = {
      'Content-Type': 'application/json',
      Authorization: 'Basic secret',
      Cookie: 'a=b',
      'CE-Type': 'order',
      Traceparent: '00-1-2-3',
      'webhook-id': 'mine',
      'X-Any': '1',
    };
    const { status, body, headers: answered } = await push({ path: '/orders/new', headers }, '{"a":1}');
    assert.deepEqual([status, body], [202, '{"id":"msg_1"}']);
    assert.equal(answered['content-type'], 'application/json; charset=utf-8');
    const [message] = pushed;
    assert.deepEqual(message?.fields, [
      'content-type',
      'application/json',
      'ce-type',
      'order',
      'traceparent',
      '00-1-2-3',
    ]);
    assert.deepEqual([message?.target, String(message?.body), message?.key], ['https://hooks.example/in?credential=1', '{"a":1}', undefined]); // prettier-ignore
    // What the query holds is shown nowhere.
    assert.deepEqual(audits, [{ path: '/orders/new', target: 'https://hooks.example/in', verdict: 'accepted', id: 'msg_1', bytes: 7 }]); // prettier-ignore
  });

  it('takes the largest message, also in chunks', async (t) => {
    const { push, pushed } = await start(t);
    const largest = Buffer.alloc(MAX_WEBHOOK_BYTES, 1);
    assert.equal((await push({}, largest)).status, 202);
    assert.equal((await push({ headers: { 'transfer-encoding': 'chunked' } }, largest)).status, 202);
    assert.deepEqual(pushed.map(({ body }) => body.length), [MAX_WEBHOOK_BYTES, MAX_WEBHOOK_BYTES]); // prettier-ignore
  });

  const refused: Record<string, [options: RequestOptions, status: number, body?: string | Buffer]> = {
    'an unknown path': [{ path: '/other' }, 404],
    'a path below a route': [{ path: '/alerts/1' }, 404],
    'a path of another case': [{ path: '/Alerts' }, 404],
    'a path in absolute form': [{ path: 'http://127.0.0.1/alerts' }, 404],
    'a query': [{ path: '/alerts?x=1' }, 400],
    GET: [{ method: 'GET' }, 405],
    PUT: [{ method: 'PUT' }, 405, 'x'],
    'a preflight': [{ method: 'OPTIONS' }, 405],
    'a page of the web': [{ headers: { Origin: 'https://evil.example' } }, 403],
    'a page without an origin': [{ headers: { Origin: 'null' } }, 403],
    'a browser that says where it is': [{ headers: { 'Sec-Fetch-Site': 'cross-site' } }, 403],
    'another host (DNS rebinding)': [{ headers: { Host: 'evil.example' } }, 403],
    'a host that begins like ours': [{ headers: { Host: '127.0.0.1.evil.example' } }, 403],
    'a message that says it is too large': [
      { headers: { 'Content-Length': MAX_WEBHOOK_BYTES + 1 } },
      413,
      Buffer.alloc(10),
    ],
    'a message that becomes too large': [
      { headers: { 'Transfer-Encoding': 'chunked' } },
      413,
      Buffer.alloc(MAX_WEBHOOK_BYTES + 1),
    ],
    'an empty key': [{ headers: { 'Idempotency-Key': '' } }, 400],
    'a key that is too long': [{ headers: { 'Idempotency-Key': 'k'.repeat(256) } }, 400],
    'too much that would go with it': [{ headers: { 'ce-a': 'x'.repeat(8_200) } }, 431],
  };
  for (const [what, [options, status, body]] of Object.entries(refused)) {
    it(`refuses ${what} with ${status}`, async (t) => {
      const { push, pushed } = await start(t);
      const answer = await push(options, body);
      assert.equal(answer.status, status);
      const { errors } = JSON.parse(answer.body) as { errors: { msg: string; code: number }[] };
      assert.equal(errors[0]?.code, status);
      assert.deepEqual(pushed, []);
    });
  }

  it('is reached under the names of this machine', async (t) => {
    const { push, listener } = await start(t);
    for (const name of ['127.0.0.1', 'localhost', '[::1]']) {
      assert.equal((await push({ headers: { Host: `${name}:${listener.port}` } }, 'x')).status, 202);
    }
  });

  const failures: Record<string, [error: Error, status: number, retryAfter: string | undefined, isTold: boolean]> = {
    'a full spool': [new SpoolFullError('full'), 503, '30', false],
    'a key of another message': [new KeyReusedError('other'), 422, undefined, false],
    'a full disk': [Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }), 507, '30', true],
    'a quota that is used up': [Object.assign(new Error('EDQUOT'), { code: 'EDQUOT' }), 507, '30', true],
    'a disk that fails': [Object.assign(new Error('EIO'), { code: 'EIO' }), 503, '30', true],
  };
  for (const [what, [error, status, retryAfter, isTold]] of Object.entries(failures)) {
    it(`says of ${what} ${status}`, async (t) => {
      const { push, audits, failures: told } = await start(t, () => Promise.reject(error));
      const answer = await push({}, 'x');
      assert.deepEqual([answer.status, answer.headers['retry-after']], [status, retryAfter]);
      assert.deepEqual(audits.map(({ verdict, status: written }) => [verdict, written]), [['refused', status]]); // prettier-ignore
      assert.equal(told.length, isTold ? 1 : 0);
    });
  }

  it('a message that was taken already has its id', async (t) => {
    const { push, pushed, audits } = await start(t, () => Promise.resolve({ id: 'msg_7', isNew: false }));
    const { status, body } = await push({ headers: { 'Idempotency-Key': 'order-1' } }, 'x');
    assert.deepEqual([status, body], [202, '{"id":"msg_7"}']);
    assert.match(pushed[0]?.key ?? '', /^[\da-f]{32}$/);
    assert.equal(audits[0]?.['verdict'], 'duplicate');
  });

  it('takes nothing that could not be written down', async (t) => {
    const { push, pushed } = await start(t, undefined, { canRecord: () => false });
    const { status, headers } = await push({}, 'x');
    assert.deepEqual([status, headers['retry-after'], pushed.length], [503, '1', 0]);
  });

  it('a message whose sender broke off is none', async (t) => {
    const { listener, pushed, push } = await start(t);
    const socket = connect(listener.port, '127.0.0.1');
    socket.write('POST /alerts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345');
    await once(socket, 'connect');
    const closed = once(socket.resume(), 'close');
    socket.end();
    await closed;
    assert.equal((await push({}, 'after')).status, 202);
    assert.deepEqual(pushed.map(({ body }) => String(body)), ['after']); // prettier-ignore
  });

  it('asks for the body of one who waits, and not where it would be refused', async (t) => {
    const { push, pushed, listener } = await start(t);
    assert.equal((await push({ headers: { Expect: '100-continue' } }, 'x')).status, 202);
    const socket = connect(listener.port, '127.0.0.1');
    socket.write('POST /no HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n');
    const [first] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    assert.match(String(first), /^HTTP\/1\.1 404 /);
    assert.equal(pushed.length, 1);
  });

  it('so many at one time, and the next ones find places again', async (t) => {
    let open: () => void = () => undefined;
    const isOpen = new Promise<void>((resolve) => (open = resolve));
    const { push, pushed } = await start(t, async () => {
      await isOpen;
      return { id: 'msg_1', isNew: true };
    });
    const waiting = Array.from({ length: MAX_PUSHES }, () => push({}, 'x'));
    await waitUntil('all places are taken', () => pushed.length === MAX_PUSHES);
    assert.deepEqual((await push({}, 'x')).status, 503);
    open();
    assert.ok((await Promise.all(waiting)).every(({ status }) => status === 202));
    assert.equal((await push({}, 'x')).status, 202);
  });

  it('listens on the loopback address alone', async (t) => {
    const { listener } = await start(t);
    const socket = connect(listener.port, '127.0.0.2');
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
  });

  it('a port that is taken is told', async (t) => {
    const { listener } = await start(t);
    await assert.rejects(start(t, undefined, { port: listener.port }), { code: 'EADDRINUSE' });
  });
});
