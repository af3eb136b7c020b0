import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { loadConfig } from '../../../src/config/load-config.ts';
import { MAX_BACKEND_SOCKETS } from '../../../src/connector/backend.ts';
import { AppError } from '../../../src/core/errors.ts';
import {
  CALLER_CANCEL_WINDOW_MS,
  createCallerShares,
  MAX_CANCELS_PER_CALLER_PER_SECOND,
} from '../../../src/gateway/caller-shares.ts';
import { CANCEL_WINDOW_MS, MAX_CANCELS_PER_SECOND, MAX_STREAMS } from '../../../src/tunnel/limits.ts';
import { type CallerPort, OTHER_TOKEN, startCallerPort, TOKEN } from './caller-port.ts';
import { type FakeStream, startConnectorCaller } from './fake-way.ts';

const CALLS = 3;
/** So many streams that an agent did not answer cost its connection. */
const TUNNEL_CANCELS = (MAX_CANCELS_PER_SECOND * CANCEL_WINDOW_MS) / 1_000;

const toGet = (token: string, fields = ''): string =>
  `GET http://crm.virtual:8080/api/x HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Bearer ${token}\r\n${fields}\r\n`;
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';

const readFirst = async (socket: Socket): Promise<string> => String(((await once(socket, 'data')) as [Buffer])[0]);

const answer = ({ handlers }: FakeStream): void => {
  handlers.onResponse?.({ status: 200, reason: 'OK', fields: ['Content-Length', '2'] });
  handlers.onData(Buffer.from('ok'));
  handlers.onEnd([]);
};

describe('what one caller takes of a gateway', { timeout: 60_000 }, () => {
  let port: CallerPort;
  beforeEach(async () => {
    port = await startCallerPort({ callsPerCaller: CALLS });
  });
  afterEach(() => port.stop());

  const waitForStreams = async (count: number): Promise<void> => {
    while (port.way.streams.length < count) await new Promise((resolve) => setImmediate(resolve));
  };

  it('ends at his share, and says so; others are served', async () => {
    for (let count = 0; count < CALLS - 1; count++) port.send(toGet(TOKEN));
    port.send(toGet(TOKEN, UPGRADE));
    await waitForStreams(CALLS);
    for (const fields of ['', UPGRADE]) {
      const refusal = await readFirst(port.send(toGet(TOKEN, fields)));
      assert.match(refusal, /^HTTP\/1\.1 503 .*\r\nX-Connector-Error: busy\r\nRetry-After: 1\r\n/s);
    }
    assert.equal(port.way.streams.length, CALLS);
    const other = port.send(toGet(OTHER_TOKEN));
    answer(await port.waitForStream(CALLS));
    assert.match(await readFirst(other), /^HTTP\/1\.1 200 /);
  });

  const ENDS: Readonly<Record<string, (socket: Socket, stream: FakeStream) => void>> = {
    'an answer': (_, stream) => answer(stream),
    'a caller who leaves': (socket) => void socket.destroy(),
    'an agent that is lost': (_, stream) => stream.handlers.onReset('backend_failed'),
  };
  for (const [name, end] of Object.entries(ENDS)) {
    for (const fields of ['', UPGRADE]) {
      it(`is given back by ${name}${fields === '' ? '' : ', of an upgrade'}`, async () => {
        const sockets = Array.from({ length: CALLS }, () => port.send(toGet(TOKEN, fields)).resume());
        await waitForStreams(CALLS);
        sockets.forEach((socket, at) => end(socket, port.way.streams[at] as FakeStream));
        await new Promise((resolve) => setTimeout(resolve, 200));
        for (let at = 0; at < CALLS; at++) port.send(toGet(TOKEN));
        await waitForStreams(2 * CALLS);
      });
    }
  }

  it('is refused before his cancelled requests cost the connection of an agent', async () => {
    const cancel = async (): Promise<boolean> => {
      const before = port.way.streams.length;
      const socket = port.send(toGet(TOKEN));
      const refused = once(socket, 'data').then(([chunk]) => String(chunk));
      const begun = port.waitForStream(before).then(() => '');
      const first = await Promise.race([refused, begun]);
      refused.catch(() => undefined);
      socket.resetAndDestroy();
      if (first === '') {
        while (port.way.streams[before]?.resetWith === undefined) await new Promise((resolve) => setImmediate(resolve));
        return true;
      }
      assert.match(first, /^HTTP\/1\.1 503 .*\r\nX-Connector-Error: busy\r\n/s);
      return false;
    };
    let cancelled = 0;
    while (cancelled < TUNNEL_CANCELS / 5 && (await cancel())) cancelled++;
    assert.ok(cancelled < TUNNEL_CANCELS / 5, `${cancelled} were cancelled`);
    const other = port.send(toGet(OTHER_TOKEN));
    answer(await port.waitForStream(port.way.streams.length));
    assert.match(await readFirst(other), /^HTTP\/1\.1 200 /);
  });
});

describe('the cancelled requests of a caller', () => {
  it('are forgotten after a while, and the refusal says when', () => {
    let nowMs = 5_000;
    const shares = createCallerShares(10, () => nowMs);
    const max = (MAX_CANCELS_PER_CALLER_PER_SECOND * CALLER_CANCEL_WINDOW_MS) / 1_000;
    for (let count = 0; count < max - 1; count++) shares.countCancel('cl-1');
    shares.enter('cl-1')();
    nowMs += 2_500;
    shares.countCancel('cl-1');
    const isBusy = (error: unknown): boolean =>
      error instanceof AppError && error.code === 'busy' && error.values.seconds === 8;
    assert.throws(() => shares.enter('cl-1'), isBusy);
    shares.enter('cl-2')();
    nowMs += 7_500;
    shares.enter('cl-1')();
  });

  it('cannot come near what costs an agent its connection', () => {
    assert.ok(MAX_CANCELS_PER_CALLER_PER_SECOND * 10 <= MAX_CANCELS_PER_SECOND);
    assert.ok(CALLER_CANCEL_WINDOW_MS >= CANCEL_WINDOW_MS);
  });

  it('and his share leave room at an agent, as it is configured', () => {
    const { gatewayCallsPerCaller } = loadConfig(
      { COUNTERSIGN_DATA_DIR: '/nowhere', COUNTERSIGN_ADMIN_TOKEN: 'admin-token-of-share-tests-0123456789' },
      'gateway',
    );
    assert.ok(gatewayCallsPerCaller < MAX_BACKEND_SOCKETS && gatewayCallsPerCaller < MAX_STREAMS);
  });
});

describe('service calls through a connector', () => {
  it('count as requests of their caller, until their answer is over', async () => {
    const { way, callConnector } = startConnectorCaller(1);
    const call = (): ReturnType<typeof callConnector> =>
      callConnector({
        caller: { id: 'cl-1', name: 'bot', tokenHash: '', createdAt: 0 },
        host: 'crm.virtual',
        port: 8080,
        method: 'GET',
        target: '/api/x',
        fields: [],
        body: undefined,
        requestId: undefined,
        signal: new AbortController().signal,
      });
    const first = call();
    await assert.rejects(call(), (error) => error instanceof AppError && error.code === 'busy');
    answer(way.streams[0] as FakeStream);
    assert.equal(await text((await first).body), 'ok');
    await new Promise((resolve) => setImmediate(resolve));
    void call();
    assert.equal(way.streams.length, 2);
  });
});
