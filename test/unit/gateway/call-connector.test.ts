import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { AppError } from '../../../src/core/errors.ts';
import type { ServiceAnswer } from '../../../src/gateway/service-calls/exchange.ts';
import type { ConnectorCall } from '../../../src/gateway/service-calls/service-calls.ts';
import type { ResponseHead } from '../../../src/tunnel/messages.ts';
import { type FakeStream, startConnectorCaller } from './fake-way.ts';

const OK: ResponseHead = { status: 200, reason: 'OK', fields: [] };
const CALLER = { id: 'cl-1', name: 'bot', tokenHash: '', createdAt: 0 };

function start(changes: Partial<ConnectorCall> = {}) {
  const { way, callConnector } = startConnectorCaller();
  const cut = new AbortController();
  const answer = callConnector({
    caller: CALLER,
    host: 'crm.virtual',
    port: 8080,
    method: 'GET',
    target: '/api/x',
    fields: [],
    body: undefined,
    requestId: undefined,
    signal: cut.signal,
    ...changes,
  });
  answer.catch(() => undefined);
  return { way, answer, cut, stream: way.streams[0] as FakeStream };
}

const withLength = (length: string, status = 200): ResponseHead => ({
  ...OK,
  status,
  fields: ['Content-Length', length],
});
const failsAs = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;
const read = async (answer: Promise<ServiceAnswer>): Promise<string> => (await buffer((await answer).body)).toString();

describe('a service call through a connector', () => {
  const WHOLE: Readonly<Record<string, readonly [string, ResponseHead, string]>> = {
    'that is as long as it says': ['GET', withLength('5'), 'hello'],
    'that says no length': ['GET', OK, 'hello'],
    'to HEAD, with the length of another': ['HEAD', withLength('90'), ''],
    'of 204, with a length that it cannot have': ['GET', withLength('90', 204), ''],
    'of 304, with the length of another': ['GET', withLength('90', 304), ''],
  };
  for (const [name, [method, head, body]] of Object.entries(WHOLE)) {
    it(`hands over an answer ${name}`, async () => {
      const { answer, stream } = start({ method });
      stream.handlers.onResponse?.(head);
      if (body !== '') stream.handlers.onData(Buffer.from(body));
      stream.handlers.onEnd([]);
      assert.equal(await read(answer), body);
    });
  }

  const BROKEN: Readonly<Record<string, readonly [string, ResponseHead, readonly string[]]>> = {
    'longer than its length': ['GET', withLength('5'), ['helloHTTP/1.1 200 OK\r\n\r\n']],
    'longer than its length by a second part': ['GET', withLength('5'), ['hello', 'HTTP/1.1 200 OK\r\n\r\n']],
    'shorter than its length': ['GET', withLength('90'), ['hello']],
    'missing': ['GET', withLength('5'), []],
    'there for HEAD': ['HEAD', withLength('5'), ['hello']],
    'there for 204': ['GET', { ...OK, status: 204 }, ['hello']],
    'there for 304': ['GET', withLength('5', 304), ['hello']],
  }; // prettier-ignore
  for (const [name, [method, head, parts]] of Object.entries(BROKEN)) {
    it(`fails where the body is ${name}`, async () => {
      const { answer, stream } = start({ method });
      stream.handlers.onResponse?.(head);
      const { body } = await answer;
      let received = '';
      body.on('data', (chunk: Buffer) => (received += chunk.toString()));
      const closed = once(body, 'close');
      for (const part of parts) stream.handlers.onData(Buffer.from(part));
      stream.handlers.onEnd([]);
      await assert.rejects(closed, failsAs('application_failed'));
      assert.equal(body.readableEnded, false);
      assert.doesNotMatch(received, /HTTP/);
      assert.equal(stream.resetWith, 'cancelled');
    });
  }

  it('fails where the agent switches protocols', async () => {
    const { answer, stream } = start();
    stream.handlers.onResponse?.({ ...OK, status: 101 });
    await assert.rejects(answer, failsAs('application_failed'));
    assert.equal(stream.resetWith, 'cancelled');
  });

  it('is not begun for a caller who has gone', async () => {
    const signal = AbortSignal.abort(new AppError('invalid_request', { values: { detail: 'the caller has gone' } }));
    const { way, answer } = start({ method: 'POST', body: Buffer.from('pay'), signal });
    await assert.rejects(answer, failsAs('invalid_request'));
    assert.equal(way.streams.length, 0);
  });

  it('is cut when its caller goes', async () => {
    const { answer, stream, cut } = start();
    cut.abort(new AppError('service_timeout'));
    await assert.rejects(answer, failsAs('service_timeout'));
    assert.equal(stream.resetWith, 'cancelled');
  });
});

describe('the body of a service call through a connector', () => {
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('reaches the other end, no faster than it is taken', async () => {
    const body = new PassThrough();
    const { stream } = start({ method: 'POST', body });
    const { write } = stream;
    Object.assign(stream, { write: (chunk: Buffer) => (write.call(stream, chunk), false) });
    body.write('one');
    await turn();
    body.end('two');
    await turn();
    assert.deepEqual([stream.written, stream.ended], ['one', undefined]);
    stream.handlers.onDrain?.();
    await turn();
    stream.handlers.onDrain?.();
    await turn();
    assert.deepEqual([stream.written, stream.ended], ['onetwo', []]);
  });

  it('that is there at once reaches the other end', () => {
    const { stream } = start({ method: 'POST', body: Buffer.from('all') });
    assert.deepEqual([stream.written, stream.ended], ['all', []]);
  });

  it('is left to its owner when the call fails: its connection has to carry the failure', async () => {
    const body = new PassThrough();
    const { answer, stream } = start({ method: 'POST', body });
    body.write('one');
    await turn();
    stream.handlers.onReset('backend_failed');
    await assert.rejects(answer, failsAs('application_failed'));
    body.write('two');
    await turn();
    assert.deepEqual([stream.written, body.destroyed, body.readableLength], ['one', false, 0]);
  });

  it('that breaks off is never whole', async () => {
    const body = new PassThrough();
    const { answer, stream } = start({ method: 'POST', body });
    body.write('one');
    await turn();
    body.destroy();
    await assert.rejects(answer, failsAs('service_failed'));
    assert.deepEqual([stream.ended, stream.resetWith], [undefined, 'cancelled']);
  });
});
