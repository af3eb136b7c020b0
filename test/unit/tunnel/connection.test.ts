import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import { CLOSE_CODES, type CloseCode, RESET_CODES } from '../../../src/tunnel/codes.ts';
import type { Closed, TunnelConnection } from '../../../src/tunnel/messages.ts';
import { createSocketPair, toHello } from '../../support/tunnel-pair.ts';
import {
  createEnd,
  createPair,
  createRawPair,
  END,
  Heard,
  openHeard,
  type Pair,
  REQUEST,
  RESPONSE,
  toBytes,
  toJsonBytes,
  toNumber,
  TYPE,
  until,
} from './tunnel-pair.ts';

const goaway = (code: number, lastStream: number, more: object = {}): Buffer =>
  toJsonBytes(TYPE.goaway, 0, 0, { code, lastStream, detail: 'bye', ...more });

async function withPair(use: (pair: Pair) => Promise<void>, options?: Parameters<typeof createPair>[0]): Promise<void> {
  const pair = await createPair(options);
  try {
    await use(pair);
  } finally {
    await pair.stop();
  }
}

const isClosed = (pair: Pair): boolean => pair.gateway.closes.length + pair.agent.closes.length === 2;

describe('the beginning of a connection', () => {
  it('is open for both once each has the HELLO of the other', async () => {
    const [gatewaySocket, agentSocket] = await createSocketPair();
    const gateway = createEnd('gateway', gatewaySocket, { isWelcoming: false });
    const agent = createEnd('agent', agentSocket, { isWelcoming: false });
    agent.connection.welcome(toHello('cn-1', { worker: 3 }));
    await until(() => gateway.connection.peer !== undefined);
    assert.deepEqual(gateway.connection.peer, toHello('cn-1', { worker: 3 }));
    assert.deepEqual(
      [gateway.connection.isOpen, agent.connection.isOpen, agent.connection.peer],
      [false, false, undefined],
    );
    assert.equal(gateway.connection.open(REQUEST, new Heard(), true), undefined);
    assert.equal(agent.connection.open(REQUEST, new Heard(), true), undefined);
    gateway.connection.welcome(toHello('gw', { node: 'n-1' }));
    assert.equal(gateway.connection.isOpen, true);
    await until(() => agent.connection.isOpen);
    assert.equal(agent.connection.peer?.node, 'n-1');
    await until(() => gateway.connection.roundTripMs !== undefined && agent.connection.roundTripMs !== undefined);
    gatewaySocket.destroy();
    agentSocket.destroy();
  });

  it('says HELLO once, and nothing after it was closed', async () => {
    const pair = await createRawPair();
    pair.end.connection.welcome(toHello('again'));
    await pair.settle();
    assert.equal(pair.frames.filter(({ type }) => type === TYPE.hello).length, 1);
    pair.end.connection.close('drain', 'over');
    pair.end.connection.welcome(toHello('again'));
    pair.end.connection.sendTable('{}');
    await once(pair.socket, 'end');
    assert.deepEqual([pair.frames.at(-1)?.type, pair.end.socket.errored], [TYPE.goaway, null]);
    pair.stop();
  });

  it('ends where no HELLO comes in time', async () => {
    const pair = await createRawPair({ isGreeting: false, helloTimeoutMs: 20 });
    assert.equal((await pair.goaway()).code, CLOSE_CODES.timed_out);
    assert.deepEqual(
      pair.end.closes.map(({ code }) => code),
      ['timed_out'],
    );
    pair.stop();
  });

  it('refuses a stream that comes before the gateway has judged', async () => {
    const pair = await createRawPair({ isWelcoming: false });
    pair.send(toJsonBytes(TYPE.request, END, 2, REQUEST));
    assert.deepEqual((await pair.frame(TYPE.reset, 2)).payload, toNumber(RESET_CODES.refused));
    assert.deepEqual(pair.end.taken, []);
    pair.stop();
  });

  const VERDICTS: Readonly<Record<string, (gateway: TunnelConnection) => void>> = {
    'at once': (gateway) => gateway.close('unauthorized', 'revoked', 1_234),
    'a moment later': (gateway) => void setImmediate(() => gateway.close('unauthorized', 'revoked', 1_234)),
  };
  for (const [when, judge] of Object.entries(VERDICTS)) {
    it(`an agent that is refused ${when} hears why`, async () => {
      const [gatewaySocket, agentSocket] = await createSocketPair();
      const gateway = createEnd('gateway', gatewaySocket, {
        isWelcoming: false,
        handlers: { onHello: () => judge(gateway.connection) },
      });
      const agent = createEnd('agent', agentSocket, { isWelcoming: false });
      agent.connection.welcome(toHello('cn-1'));
      await until(() => agent.closes.length > 0);
      const expected: Closed = { code: 'unauthorized', detail: 'revoked', retryAfterMs: 1_234, isRemote: true };
      assert.deepEqual(agent.closes, [expected]);
      assert.deepEqual(gateway.closes, [{ ...expected, isRemote: false }]);
      await until(() => gatewaySocket.closed && agentSocket.closed);
    });
  }
});

describe('signs of life', () => {
  it('end a connection whose peer is silent, after three intervals', async () => {
    const pair = await createRawPair({ pingEveryMs: 25 });
    assert.equal((await pair.goaway()).code, CLOSE_CODES.timed_out);
    assert.equal(pair.frames.filter(({ type }) => type === TYPE.ping).length, 3);
    assert.deepEqual(
      pair.end.closes.map(({ code }) => code),
      ['timed_out'],
    );
    pair.stop();
  });

  it('end it though the peer does not read', async () => {
    const pair = await createRawPair({ pingEveryMs: 25 });
    pair.socket.pause();
    const { heard, stream } = openHeard(pair.end.connection, false);
    pair.send(toBytes(TYPE.window, 0, 1, toNumber(0x4000_0000)));
    stream.write(Buffer.alloc(20_000_000));
    await until(() => pair.end.closes.length > 0);
    assert.deepEqual([pair.end.closes[0]?.code, heard.calls.at(-1)], ['timed_out', 'reset lost']);
    await until(() => pair.end.socket.closed, 'the end of a socket that nobody reads');
    pair.stop();
  });

  it('are whatever comes', async () => {
    const pair = await createRawPair({ pingEveryMs: 25 });
    const { stream } = openHeard(pair.end.connection);
    for (let sent = 0; sent < 12; sent++) {
      const pings = pair.frames.length;
      await until(() => pair.frames.length > pings);
      pair.send(toBytes(99, 0, 0));
    }
    assert.deepEqual([pair.end.closes, stream.isClosed], [[], false]);
    pair.stop();
  });
});

describe('leaving', () => {
  it('a drain with nothing open closes both ends at once', async () => {
    await withPair(async (pair) => {
      pair.gateway.connection.drain(60_000, 500);
      await until(() => isClosed(pair));
      assert.deepEqual(
        pair.gateway.closes.map(({ code, isRemote }) => [code, isRemote]),
        [['drain', false]],
      );
      assert.deepEqual(pair.agent.closes, [{ code: 'drain', detail: 'planned', isRemote: true, retryAfterMs: 500 }]);
      assert.deepEqual(pair.agent.drainings, pair.agent.closes);
    });
  });

  for (const leaver of ['gateway', 'agent'] as const) {
    it(`a drain of the ${leaver} lets what is open finish, and begins nothing`, async () => {
      await withPair(async (pair) => {
        const { heard } = openHeard(pair.gateway.connection);
        await until(() => pair.agent.taken.length === 1);
        pair[leaver].connection.drain(60_000);
        await until(() => !pair.gateway.connection.isOpen && !pair.agent.connection.isOpen);
        for (const { connection } of [pair.gateway, pair.agent]) {
          assert.equal(connection.open(REQUEST, new Heard(), true), undefined);
          assert.equal(connection.streamCount, 1);
        }
        const body = Buffer.alloc(300_000, 'x');
        pair.agent.taken[0]?.stream.respond(RESPONSE);
        pair.agent.taken[0]?.stream.write(body);
        pair.agent.taken[0]?.stream.end(['X-Sum', '1']);
        await until(() => isClosed(pair));
        // The last frame of the last stream is on the wire before the end is.
        assert.deepEqual([heard.calls, heard.bytes], [['response 200', 'data', 'end'], body.length]);
        assert.deepEqual([pair.gateway.closes[0]?.code, pair.agent.closes[0]?.code], ['drain', 'drain']);
      });
    });
  }

  it('a drain ends after its grace, and what is open is lost', async () => {
    await withPair(async (pair) => {
      const { heard } = openHeard(pair.gateway.connection);
      await until(() => pair.agent.taken.length === 1);
      pair.agent.connection.drain(30);
      await until(() => isClosed(pair));
      assert.deepEqual(heard.calls, ['reset lost']);
      assert.deepEqual(pair.agent.taken[0]?.heard.calls, ['reset lost']);
      assert.deepEqual([pair.gateway.closes[0]?.code, pair.agent.closes[0]?.code], ['drain', 'drain']);
    });
  });

  it('both may drain at once', async () => {
    await withPair(async (pair) => {
      const { heard } = openHeard(pair.gateway.connection);
      await until(() => pair.agent.taken.length === 1);
      pair.gateway.connection.drain(60_000);
      pair.gateway.connection.drain(60_000);
      pair.agent.connection.drain(60_000);
      pair.agent.taken[0]?.stream.respond({ ...RESPONSE, status: 204 }, true);
      await until(() => isClosed(pair));
      assert.deepEqual(heard.calls, ['response 204', 'end']);
      assert.deepEqual([pair.gateway.closes[0]?.code, pair.agent.closes[0]?.code], ['drain', 'drain']);
    });
  });

  it('a stream of the other end’s above the last one is refused, the others go on', async () => {
    const pair = await createRawPair();
    const [first, second] = [openHeard(pair.end.connection), openHeard(pair.end.connection)];
    pair.send(goaway(CLOSE_CODES.drain, 1, { retryAfterMs: 7 }));
    await pair.settle();
    assert.deepEqual([first.heard.calls, second.heard.calls], [[], ['reset refused']]);
    assert.deepEqual(pair.end.drainings, [{ code: 'drain', detail: 'bye', isRemote: true, retryAfterMs: 7 }]);
    assert.equal(pair.end.connection.open(REQUEST, new Heard(), true), undefined);
    pair.send(toJsonBytes(TYPE.response, END, 1, RESPONSE));
    await pair.settle();
    assert.deepEqual(first.heard.calls, ['response 200', 'end']);
    pair.send(goaway(CLOSE_CODES.drain, 1));
    pair.socket.end();
    await until(() => pair.end.closes.length > 0);
    assert.deepEqual(pair.end.closes, pair.end.drainings);
    pair.stop();
  });

  it('a stream that comes after GOAWAY is refused', async () => {
    const pair = await createRawPair();
    openHeard(pair.end.connection);
    pair.end.connection.drain(60_000);
    pair.send(toJsonBytes(TYPE.request, END, 2, REQUEST));
    assert.deepEqual((await pair.frame(TYPE.reset, 2)).payload, toNumber(RESET_CODES.refused));
    assert.deepEqual([pair.end.taken, pair.end.closes, (await pair.goaway()).lastStream], [[], [], 0]);
    pair.stop();
  });

  it('tells the highest stream that was begun', async () => {
    const pair = await createRawPair();
    pair.send(toJsonBytes(TYPE.request, END, 8, REQUEST));
    await until(() => pair.end.taken.length === 1);
    pair.end.connection.close('unavailable', 'the same agent connected anew');
    assert.deepEqual(await pair.goaway(), { code: 5, lastStream: 8, detail: 'the same agent connected anew' });
    pair.stop();
  });

  it('a detail that cannot be told is told as far as it can', async () => {
    await withPair(async (pair) => {
      pair.gateway.connection.close('protocol', `“${'x'.repeat(300)}\n`);
      await until(() => isClosed(pair));
      assert.deepEqual(pair.agent.closes, [{ code: 'protocol', detail: `?${'x'.repeat(199)}`, isRemote: true }]);
    });
  });

  for (const code of Object.keys(CLOSE_CODES) as CloseCode[]) {
    it(`closing for ${code} is told to the other end, and to each owner once`, async () => {
      await withPair(async (pair) => {
        openHeard(pair.gateway.connection);
        pair.gateway.connection.close(code, 'so be it', 10);
        pair.gateway.connection.close('internal' as CloseCode, 'again');
        await until(() => isClosed(pair));
        const told = { code, detail: 'so be it', retryAfterMs: 10 };
        assert.deepEqual(pair.gateway.closes, [{ ...told, isRemote: false }]);
        assert.deepEqual(pair.agent.closes, [{ ...told, isRemote: true }]);
        await until(() => pair.gateway.socket.closed && pair.agent.socket.closed);
      });
    });
  }

  it('a code that is not known is a fault of the other end', async () => {
    const pair = await createRawPair();
    pair.send(goaway(99, 0));
    await until(() => pair.end.closes.length > 0);
    assert.deepEqual(pair.end.closes, [{ code: 'unavailable', detail: 'bye', isRemote: true }]);
    pair.stop();
  });

  it('a half-closed connection is over', async () => {
    const pair = await createRawPair();
    const { heard, stream } = openHeard(pair.end.connection, false);
    pair.send(toBytes(TYPE.window, 0, 1, toNumber(0x4000_0000)));
    await pair.settle();
    // Our writes can never be taken, so that the socket itself does not come to its end.
    pair.socket.pause();
    stream.write(Buffer.alloc(20_000_000));
    await until(() => pair.end.socket.writableNeedDrain);
    pair.socket.end();
    await until(() => pair.end.closes.length > 0);
    assert.equal(pair.end.socket.closed, false);
    assert.deepEqual([pair.end.closes[0]?.code, heard.calls], ['lost', ['reset lost']]);
    pair.stop();
  });

  it('a socket that is torn is a loss for both', async () => {
    await withPair(async (pair) => {
      const { heard } = openHeard(pair.gateway.connection);
      await until(() => pair.agent.taken.length === 1);
      pair.agent.socket.destroy(new Error('torn'));
      await until(() => isClosed(pair));
      assert.deepEqual(pair.agent.closes, [{ code: 'lost', detail: 'torn', isRemote: true }]);
      assert.equal(pair.gateway.closes[0]?.code, 'lost');
      assert.deepEqual([heard.calls, pair.agent.taken[0]?.heard.calls], [['reset lost'], ['reset lost']]);
    });
  });
});

/** What an owner does wrong, once a stream is open and answered in part; the connection of the gateway closes. */
describe('an owner that throws', () => {
  const fault = (): never => {
    throw new Error('secret of the inside');
  };
  const FAULTS: Readonly<Record<string, (heard: Heard, pair: Pair) => void>> = {
    onResponse: (heard, pair) => {
      Object.assign(heard, { onResponse: fault });
      pair.agent.taken[0]?.stream.respond(RESPONSE);
    },
    onData: (heard, pair) => {
      Object.assign(heard, { onData: fault });
      pair.agent.taken[0]?.stream.respond(RESPONSE);
      pair.agent.taken[0]?.stream.write(Buffer.from('abc'));
    },
    onEnd: (heard, pair) => {
      Object.assign(heard, { onEnd: fault });
      pair.agent.taken[0]?.stream.respond(RESPONSE, true);
    },
    onReset: (heard, pair) => {
      Object.assign(heard, { onReset: fault });
      pair.agent.taken[0]?.stream.reset('backend_failed');
    },
    onDrain: (heard) => {
      Object.assign(heard, { onDrain: fault });
      heard.stream?.write(Buffer.alloc(65_537));
    },
  };
  for (const [name, act] of Object.entries(FAULTS)) {
    it(`in ${name} loses its connection, and the process goes on`, async () => {
      await withPair(async (pair) => {
        const [other, { heard }] = [openHeard(pair.gateway.connection), openHeard(pair.gateway.connection, false)];
        await until(() => pair.agent.taken.length === 2);
        pair.agent.taken.reverse();
        act(heard, pair);
        await until(() => isClosed(pair), 'the end of both');
        assert.match(pair.gateway.closes[0]?.detail ?? '', /^a fault of this end: Error: secret of the inside$/);
        assert.deepEqual(pair.agent.closes, [{ code: 'unavailable', detail: 'a fault of this end', isRemote: true }]);
        assert.deepEqual(other.heard.calls, ['reset lost']);
        assert.deepEqual([pair.gateway.budget.bufferedBytes, pair.gateway.connection.streamCount], [0, 0]);
      });
    });
  }

  for (const name of ['onStream', 'onTable', 'onDraining'] as const) {
    it(`in ${name} loses its connection, and the process goes on`, async () => {
      await withPair(
        async (pair) => {
          if (name === 'onStream') openHeard(pair.agent.connection);
          else if (name === 'onTable') pair.agent.connection.sendTable('{}');
          else {
            openHeard(pair.gateway.connection);
            await until(() => pair.agent.taken.length === 1);
            pair.agent.connection.drain(60_000);
          }
          await until(() => isClosed(pair));
          assert.deepEqual(
            pair.gateway.closes.map(({ code }) => code),
            ['unavailable'],
          );
        },
        { gateway: { handlers: { [name]: fault } } },
      );
    });
  }

  it('in what it hears of the end is warned of, and every other stream still hears it', async () => {
    const warned = once(process, 'warning') as Promise<[Error]>;
    await withPair(
      async (pair) => {
        const bad = openHeard(pair.gateway.connection, true, new Heard({ onReset: fault }));
        const good = openHeard(pair.gateway.connection);
        pair.gateway.socket.destroy();
        await until(() => isClosed(pair));
        assert.deepEqual([bad.heard.calls, good.heard.calls], [['reset lost'], ['reset lost']]);
        assert.match((await warned)[0].message, /^a fault of this end: Error/);
      },
      { gateway: { handlers: { onClose: fault } } },
    );
  });
});

describe('an owner that acts from within', () => {
  it('closes from onHello', async () => {
    const [gatewaySocket, agentSocket] = await createSocketPair();
    const gateway = createEnd('gateway', gatewaySocket, {
      handlers: { onHello: () => gateway.connection.close('unavailable', 'at once') },
    });
    const agent = createEnd('agent', agentSocket, { isWelcoming: false });
    agent.connection.welcome(toHello('cn-1'));
    await until(() => agent.closes.length === 1);
    assert.deepEqual([agent.closes[0]?.code, gateway.closes.length], ['unavailable', 1]);
    await until(() => gatewaySocket.closed && agentSocket.closed);
  });

  it('closes from a body, and what stands behind it in the same read is not heard', async () => {
    const pair = await createRawPair();
    const heard = new Heard({ onData: () => pair.end.connection.close('limit', 'enough') });
    openHeard(pair.end.connection, true, heard);
    pair.send(
      toJsonBytes(TYPE.response, 0, 1, RESPONSE),
      toBytes(TYPE.data, 0, 1, 'a'),
      toBytes(TYPE.data, END, 1, 'b'),
      toJsonBytes(TYPE.request, END, 2, REQUEST),
      toBytes(TYPE.table, END, 0, '{}'),
    );
    assert.equal((await pair.goaway()).code, CLOSE_CODES.limit);
    assert.deepEqual([heard.calls, pair.end.taken, pair.end.tables], [['response 200', 'data', 'reset lost'], [], []]);
    assert.equal(pair.end.closes.length, 1);
    pair.stop();
  });

  it('closes from onDrain, in the middle of a write: the reason is the last that is sent', async () => {
    const pair = await createRawPair();
    const heard = new Heard({ onDrain: () => pair.end.connection.close('unavailable', 'now') });
    const { stream } = openHeard(pair.end.connection, false, heard);
    openHeard(pair.end.connection, false).stream.write(Buffer.alloc(10));
    stream.write(Buffer.alloc(65_537));
    const isEnded = once(pair.socket, 'end');
    pair.send(toBytes(TYPE.window, 0, 1, toNumber(1)));
    await isEnded;
    assert.deepEqual([pair.end.closes[0]?.code, pair.frames.at(-1)?.type], ['unavailable', TYPE.goaway]);
    assert.deepEqual(heard.calls, ['drain', 'reset lost']);
    pair.stop();
  });

  it('opens a stream from onReset: on a connection that goes on, not on one that is over or leaves', async () => {
    for (const [bytes, isOpened] of [
      [toBytes(TYPE.reset, 0, 1, toNumber(4)), true],
      [goaway(CLOSE_CODES.drain, 0), false],
      [goaway(CLOSE_CODES.unavailable, 0), false],
      [toBytes(TYPE.data, 0, 0, 'x'), false],
    ] as const) {
      const pair = await createRawPair();
      let opened: unknown;
      const onReset = (): void => void (opened = pair.end.connection.open(REQUEST, new Heard(), true));
      const { heard } = openHeard(pair.end.connection, true, new Heard({ onReset }));
      pair.send(bytes);
      await until(() => heard.isOver);
      assert.equal(opened !== undefined, isOpened);
      pair.stop();
    }
  });

  it('closes from onReset of a GOAWAY: nothing is told after onClose', async () => {
    const pair = await createRawPair();
    const onReset = (): void => pair.end.connection.close('unavailable', 'now');
    openHeard(pair.end.connection, true, new Heard({ onReset }));
    pair.send(goaway(CLOSE_CODES.drain, 0));
    await until(() => pair.end.closes.length > 0);
    assert.deepEqual([pair.end.drainings, pair.end.closes.map(({ code }) => code)], [[], ['unavailable']]);
    pair.stop();
  });

  it('hears of its last stream before it hears that the connection is over', async () => {
    const order: string[] = [];
    const pair = await createRawPair({ handlers: { onClose: () => order.push('close') } });
    openHeard(pair.end.connection, true, new Heard({ onReset: () => order.push('reset') }));
    pair.end.connection.drain(60_000);
    pair.send(toBytes(TYPE.reset, 0, 1, toNumber(4)));
    await until(() => pair.end.closes.length > 0);
    assert.deepEqual(order, ['reset', 'close']);
    pair.stop();
  });
});
