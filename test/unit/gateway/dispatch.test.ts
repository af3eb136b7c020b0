import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import type { AppError } from '../../../src/core/errors.ts';
import type { Connector } from '../../../src/gateway/connector.ts';
import { createCallerShares } from '../../../src/gateway/caller-shares.ts';
import {
  type CallHandlers,
  dispatch,
  type DispatchDeps,
  type DispatchedCall,
  REPLAY_BYTES,
} from '../../../src/gateway/dispatch.ts';
import type { Call } from '../../../src/gateway/find-ways.ts';
import type { Agent } from '../../../src/gateway/roster.ts';
import type { ResetCode } from '../../../src/tunnel/codes.ts';
import { createFakeWay, type FakeStream, type FakeWay } from './fake-way.ts';

const CALLER = { id: 'cl-1', name: 'bot', tokenHash: '', createdAt: 0 };
const CALL: Call = { host: 'crm.virtual', port: 8080, method: 'GET', target: '/api/orders', caller: CALLER };

describe('dispatching a call', () => {
  let local: FakeWay[];
  let remote: FakeWay[];
  let seen: string[];
  let failure: AppError | undefined;
  let handlers: CallHandlers;

  beforeEach(() => {
    [local, remote, seen, failure] = [[], [], [], undefined];
    handlers = {
      onResponse: ({ status }) => seen.push(`response ${status}`),
      onData: (chunk) => seen.push(`data ${chunk.toString()}`),
      onEnd: () => seen.push('end'),
      onFailure: (error) => {
        failure = error;
        seen.push(`failure ${error.code}`);
      },
      onDrain: () => seen.push('drain'),
    };
  });

  const begin = (method: string, isBodyless: boolean): DispatchedCall => {
    const deps: DispatchDeps = {
      directory: {
        findConnector: (id) => ({ id, enabled: true }) as Connector,
        listEnabled: () => ['cn-1'],
        refreshOnMiss: async () => undefined,
      },
      roster: {
        findByConnector: () => local as unknown as Agent[],
      },
      remote: { find: async () => remote },
      shares: createCallerShares(10),
    };
    const head = { to: { host: CALL.host, port: CALL.port }, method, target: CALL.target, fields: [] };
    return dispatch(deps, { ...CALL, method }, head, isBodyless, handlers);
  };
  const streams = (): FakeStream[] => [...local, ...remote].flatMap((way) => [...way.streams]);
  const cut = (code: ResetCode): void => streams().at(-1)?.handlers.onReset(code);

  it('hands on an answer', () => {
    local = [createFakeWay('a')];
    const call = begin('GET', true);
    const [stream] = streams();
    stream?.handlers.onResponse?.({ status: 200, reason: 'OK', fields: [] });
    stream?.handlers.onData(Buffer.from('hello'));
    stream?.handlers.onEnd([]);
    assert.deepEqual(seen, ['response 200', 'data hello', 'end']);
    assert.deepEqual([call.connectorId, call.wayLabel], ['cn-1', 'a']);
  });

  /** What a cut means before anything was answered, by method and whether there was a body: is it tried again? */
  const RETRIES: readonly { code: ResetCode; method: string; body: string; isRetried: boolean }[] = [
    { code: 'refused', method: 'GET', body: '', isRetried: true },
    { code: 'refused', method: 'POST', body: '', isRetried: true },
    { code: 'refused', method: 'POST', body: 'a body', isRetried: true },
    { code: 'refused', method: 'POST', body: 'x'.repeat(REPLAY_BYTES + 1), isRetried: false },
    { code: 'lost', method: 'GET', body: '', isRetried: true },
    { code: 'lost', method: 'DELETE', body: '', isRetried: true },
    { code: 'lost', method: 'POST', body: '', isRetried: false },
    { code: 'lost', method: 'PUT', body: 'a body', isRetried: false },
    { code: 'unreachable', method: 'GET', body: '', isRetried: false },
    { code: 'backend_failed', method: 'GET', body: '', isRetried: false },
    { code: 'timed_out', method: 'GET', body: '', isRetried: false },
    { code: 'limit', method: 'GET', body: '', isRetried: false },
    { code: 'cancelled', method: 'GET', body: '', isRetried: false },
  ];
  for (const { code, method, body, isRetried } of RETRIES) {
    const name = `${method} with ${body.length} bytes that is cut with ${code}`;
    it(isRetried ? `tries ${name} again` : `never repeats ${name}`, async () => {
      local = [createFakeWay('a'), createFakeWay('b')];
      const call = begin(method, body === '');
      if (body !== '') {
        call.write(Buffer.from(body));
        call.end([]);
      }
      cut(code);
      await turn();
      assert.equal(streams().length, isRetried ? 2 : 1);
      if (!isRetried) {
        assert.notEqual(failure, undefined);
        return;
      }
      assert.equal(failure, undefined);
      const second = streams().find(
        ({ resetWith, written, ended }) => resetWith === undefined && written === body && (body === '' || ended),
      );
      assert.ok(second, 'the second way has all of it');
      assert.notEqual(local[0]?.streams.length, 2, 'not on the same way');
    });
  }

  it('never repeats what was answered', () => {
    local = [createFakeWay('a'), createFakeWay('b')];
    begin('GET', true);
    streams()[0]?.handlers.onResponse?.({ status: 200, reason: 'OK', fields: [] });
    cut('lost');
    assert.equal(streams().length, 1);
    assert.deepEqual(seen, ['response 200', 'failure connector_lost']);
  });

  it('passes over ways that are leaving, and goes to other nodes when all are', async () => {
    local = [createFakeWay('a'), createFakeWay('b')];
    for (const way of local) way.isLeaving = true;
    remote = [createFakeWay('gw-2', undefined)];
    begin('POST', true);
    await turn();
    assert.equal(remote[0]?.streams.length, 1);
    assert.equal(failure, undefined);
  });

  it('gives up after three ways', async () => {
    local = ['a', 'b', 'c', 'd', 'e'].map((label) => createFakeWay(label));
    begin('GET', true);
    for (let attempt = 0; attempt < 3; attempt += 1) cut('refused');
    await turn();
    await turn();
    assert.equal(streams().length, 3);
    assert.equal(failure?.code, 'connector_unavailable');
  });

  it('keeps a body that comes before another node is found', async () => {
    remote = [createFakeWay('gw-2', undefined)];
    const call = begin('POST', false);
    assert.equal(call.write(Buffer.from('early ')), true);
    assert.equal(call.write(Buffer.alloc(REPLAY_BYTES, 'x')), false, 'and no more than that');
    await turn();
    assert.equal(remote[0]?.streams[0]?.written.length, REPLAY_BYTES + 6);
    assert.deepEqual(seen, ['drain']);
    call.write(Buffer.from('!'));
    call.end(['X-T', '1']);
    assert.deepEqual(remote[0]?.streams[0]?.ended, ['X-T', '1']);
  });

  it('tells nothing after it was cancelled, and cancels the stream', async () => {
    local = [createFakeWay('a'), createFakeWay('b')];
    const call = begin('GET', true);
    call.cancel();
    const [stream] = streams();
    assert.equal(stream?.resetWith, 'cancelled');
    stream.handlers.onResponse?.({ status: 200, reason: 'OK', fields: [] });
    stream.handlers.onReset('lost');
    await turn();
    assert.deepEqual(seen, []);
    assert.equal(streams().length, 1);
  });

  it('fails once where nobody is', async () => {
    begin('GET', true);
    assert.deepEqual(seen, [], 'not before its owner has it');
    await turn();
    await turn();
    assert.deepEqual(seen, ['failure connector_unavailable']);
  });
});
