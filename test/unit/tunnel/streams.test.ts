import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RESET_CODES, type ResetCode } from '../../../src/tunnel/codes.ts';
import { INITIAL_WINDOW_BYTES, MAX_HEAD_BYTES } from '../../../src/tunnel/limits.ts';
import type { TunnelStream } from '../../../src/tunnel/messages.ts';
import {
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

interface Exchange {
  readonly pair: Pair;
  /** Of who opened it, the gateway. */
  readonly ours: TunnelStream;
  readonly heard: Heard;
  /** Of the agent. */
  readonly theirs: TunnelStream;
  readonly theirHeard: Heard;
}

const budgetsOf = ({ gateway, agent }: Pair): readonly number[] =>
  [gateway.budget, agent.budget].flatMap(({ bufferedBytes, grownBytes, holders }) => [
    bufferedBytes,
    grownBytes,
    holders.size,
  ]);
const NOTHING = [0, 0, 0, 0, 0, 0];

async function withExchange(use: (exchange: Exchange) => Promise<void>, { isLast = false, isReading = true } = {}) {
  const pair = await createPair({ agent: { isReading } });
  try {
    const { stream: ours, heard } = openHeard(pair.gateway.connection, isLast, new Heard({}, isReading));
    await until(() => pair.agent.taken.length === 1);
    const { stream: theirs, heard: theirHeard } = pair.agent.taken[0] as Pair['agent']['taken'][number];
    await use({ pair, ours, heard, theirs, theirHeard });
  } finally {
    await pair.stop();
  }
}

describe('a stream', () => {
  it('carries head, body and trailers both ways, and leaves nothing behind', async () => {
    await withExchange(async ({ pair, ours, heard, theirs, theirHeard }) => {
      assert.deepEqual(pair.agent.taken[0]?.head, REQUEST);
      ours.write(Buffer.alloc(100_000));
      ours.end(['X-Sent', 'ä']);
      theirs.respond({ ...RESPONSE, status: 103 });
      theirs.respond(RESPONSE);
      theirs.write(Buffer.alloc(200_000));
      theirs.end();
      await until(() => ours.isClosed && theirs.isClosed);
      assert.deepEqual(
        [...new Set(heard.calls.filter((call) => call !== 'drain'))],
        ['response 103', 'response 200', 'data', 'end'],
      );
      assert.deepEqual([heard.bytes, theirHeard.bytes], [200_000, 100_000]);
      assert.deepEqual([pair.gateway.connection.streamCount, pair.agent.connection.streamCount], [0, 0]);
      assert.deepEqual(budgetsOf(pair), NOTHING);
    });
  });

  it('is opened by either end, and ids do not meet', async () => {
    const pair = await createPair();
    const ids = [pair.gateway, pair.agent, pair.gateway, pair.agent].map(
      ({ connection }) => openHeard(connection).stream.id,
    );
    assert.deepEqual(ids, [1, 2, 3, 4]);
    await until(() => pair.gateway.taken.length + pair.agent.taken.length === 4);
    await pair.stop();
  });

  it('ignores what its owner does after it ended it', async () => {
    const pair = await createRawPair();
    const { stream, heard } = openHeard(pair.end.connection, false);
    stream.write(Buffer.from('abc'));
    stream.end(['X', '1']);
    stream.end();
    assert.equal(stream.write(Buffer.from('d')), true);
    pair.send(toJsonBytes(TYPE.response, END, 1, RESPONSE));
    await until(() => stream.isClosed);
    stream.reset('cancelled');
    stream.consumed(10);
    stream.end();
    await pair.settle();
    const sent = pair.frames.filter(({ id }) => id === 1).map(({ type, flags }) => `${type} ${flags}`);
    assert.deepEqual(sent, [`${TYPE.request} 0`, `${TYPE.data} 0`, `${TYPE.trailers} 1`]);
    assert.deepEqual(heard.calls, ['response 200', 'end']);
    pair.stop();
  });

  it('does not answer a stream of its own', async () => {
    await withExchange(async ({ ours }) => {
      assert.throws(() => ours.respond(RESPONSE), TypeError);
    });
  });
});

/** What breaks a stream in the middle; what each end hears last, undefined for the owner who did it. */
type Break = readonly [act: (exchange: Exchange) => void, heard: string | undefined, theirHeard: string | undefined];

const BREAKS: Readonly<Record<string, Break>> = {
  'the end of the gateway’s socket': [({ pair }) => pair.gateway.socket.destroy(), 'reset lost', 'reset lost'],
  'the end of the agent’s socket': [({ pair }) => pair.agent.socket.destroy(), 'reset lost', 'reset lost'],
  'a close by the gateway': [
    ({ pair }) => pair.gateway.connection.close('unavailable', ''),
    'reset lost',
    'reset lost',
  ],
  'a close by the agent': [({ pair }) => pair.agent.connection.close('unavailable', ''), 'reset lost', 'reset lost'],
  'a drain whose time is over': [({ pair }) => pair.agent.connection.drain(10), 'reset lost', 'reset lost'],
  'a head that is too large': [
    ({ theirs }) => theirs.respond({ ...RESPONSE, fields: ['X', 'ä'.repeat(MAX_HEAD_BYTES / 2)] }),
    'reset limit',
    'reset limit',
  ],
  'trailers that are too large': [
    ({ ours }) => ours.end(['X', 'ä'.repeat(MAX_HEAD_BYTES / 2)]),
    'reset limit',
    'reset limit',
  ],
};
for (const code of Object.keys(RESET_CODES) as ResetCode[]) {
  Object.assign(BREAKS, {
    [`reset ${code} by who asked`]: [({ ours }: Exchange) => ours.reset(code), undefined, `reset ${code}`],
    [`reset ${code} by who answers`]: [({ theirs }: Exchange) => theirs.reset(code), `reset ${code}`, undefined],
  });
}

/** How far the exchange is when it breaks. */
const STAGES: Readonly<Record<string, (exchange: Exchange) => void>> = {
  'before it is answered': () => undefined,
  'in the middle of both bodies': ({ ours, theirs }) => {
    ours.write(Buffer.alloc(1_000));
    theirs.respond({ ...RESPONSE, status: 103 });
    theirs.respond(RESPONSE);
    theirs.write(Buffer.alloc(1_000));
  },
  'with more written than may be sent': ({ ours, theirs }) => {
    theirs.respond({ ...RESPONSE, status: 103 });
    ours.write(Buffer.alloc(INITIAL_WINDOW_BYTES * 3));
    theirs.write(Buffer.alloc(0));
  },
};

for (const [stage, begin] of Object.entries(STAGES)) {
  describe(`a stream that is broken ${stage}`, () => {
    for (const [name, [act, heardLast, theirHeardLast]] of Object.entries(BREAKS)) {
      for (const isReading of [true, false]) {
        it(`by ${name}, ${isReading ? 'read' : 'unread'}, never looks whole`, async () => {
          await withExchange(
            async (exchange) => {
              const { pair, ours, theirs, heard, theirHeard } = exchange;
              begin(exchange);
              if (stage !== 'before it is answered') await until(() => heard.calls.length > 0 && theirHeard.bytes > 0);
              act(exchange);
              await until(() => ours.isClosed && theirs.isClosed);
              for (const [one, last] of [
                [heard, heardLast],
                [theirHeard, theirHeardLast],
              ] as const) {
                const resets = one.calls.filter((call) => call.startsWith('reset'));
                assert.deepEqual([resets, one.calls.includes('end')], [last === undefined ? [] : [last], false]);
                if (last !== undefined) assert.equal(one.calls.at(-1), last);
              }
              assert.deepEqual(budgetsOf(pair), NOTHING);
              assert.deepEqual([ours.queuedBytes, theirs.queuedBytes], [0, 0]);
              assert.deepEqual([pair.gateway.connection.streamCount, pair.agent.connection.streamCount], [0, 0]);
            },
            { isReading },
          );
        });
      }
    }
  });
}

describe('a reset', () => {
  it('is sent once, and what still comes is ignored', async () => {
    const pair = await createRawPair();
    const { stream, heard } = openHeard(pair.end.connection, false);
    stream.write(Buffer.alloc(10));
    stream.reset('cancelled');
    stream.reset('internal');
    stream.write(Buffer.alloc(10));
    stream.end();
    stream.consumed(5);
    pair.send(
      toJsonBytes(TYPE.response, 0, 1, RESPONSE),
      toBytes(TYPE.data, END, 1, 'abc'),
      toBytes(TYPE.window, 0, 1, toNumber(9)),
      toBytes(TYPE.reset, 0, 1, toNumber(4)),
    );
    await pair.settle();
    const sent = pair.frames.filter(({ id }) => id === 1).map(({ type, payload }) => [type, payload.toString('hex')]);
    assert.deepEqual(sent.slice(1), [[TYPE.reset, '00000002']]);
    assert.deepEqual([heard.calls, stream.isClosed], [[], true]);
    pair.stop();
  });

  it('of a stream that answered, after its answer was complete, is still a reset', async () => {
    await withExchange(async ({ heard, theirs, theirHeard, ours, pair }) => {
      theirs.respond(RESPONSE, true);
      await until(() => heard.calls.includes('end'));
      ours.reset('cancelled');
      await until(() => theirHeard.isOver);
      assert.deepEqual([heard.calls, theirHeard.calls], [['response 200', 'end'], ['reset cancelled']]);
      assert.deepEqual(budgetsOf(pair), NOTHING);
    });
  });

  it('of one that is complete and unread gives back what it holds', async () => {
    await withExchange(
      async ({ pair, ours, theirs, heard }) => {
        theirs.respond(RESPONSE);
        theirs.write(Buffer.alloc(5_000));
        theirs.end();
        await until(() => heard.calls.includes('end'));
        assert.equal(ours.isClosed, true);
        assert.ok(pair.gateway.budget.bufferedBytes >= 5_000);
        ours.reset('cancelled');
        ours.consumed(5_000);
        assert.deepEqual(budgetsOf(pair), NOTHING);
        await until(() => theirs.isClosed);
        assert.deepEqual(heard.calls, ['response 200', 'data', 'end']);
      },
      { isLast: true, isReading: false },
    );
  });

  it('of one that is complete and unread is not needed where it is read later', async () => {
    await withExchange(
      async ({ pair, ours, theirs, heard }) => {
        theirs.respond(RESPONSE);
        theirs.write(Buffer.alloc(60_000));
        theirs.end();
        await until(() => heard.calls.includes('end'));
        for (const bytes of [40_000, 15_000, 4_999]) {
          ours.consumed(bytes);
          assert.ok(pair.gateway.budget.bufferedBytes > 0);
        }
        ours.consumed(1);
        assert.deepEqual(budgetsOf(pair), NOTHING);
      },
      { isLast: true, isReading: false },
    );
  });

  /** What an owner does from within; the agent answers with a body and an end. */
  const WITHIN: Readonly<
    Record<
      string,
      readonly [at: 'onResponse' | 'onData', act: (stream: TunnelStream) => void, calls: readonly string[]]
    >
  > = {
    'reset from onResponse': ['onResponse', (stream) => stream.reset('cancelled'), ['response 200']],
    'reset from onData': ['onData', (stream) => stream.reset('cancelled'), ['response 200', 'data']],
    'end from onResponse': ['onResponse', (stream) => stream.end(), ['response 200', 'data', 'end']],
    'end from onData': ['onData', (stream) => stream.end(['X', '1']), ['response 200', 'data', 'end']],
    'write and end from onData': [
      'onData',
      (stream) => {
        stream.write(Buffer.alloc(5));
        stream.end();
      },
      ['response 200', 'data', 'end'],
    ],
  };
  for (const [name, [at, act, calls]] of Object.entries(WITHIN)) {
    it(`${name} is heard as such`, async () => {
      const pair = await createRawPair();
      const heard: Heard = new Heard({ [at]: () => act(heard.stream as TunnelStream) });
      const { stream } = openHeard(pair.end.connection, false, heard);
      pair.send(toJsonBytes(TYPE.response, 0, 1, RESPONSE), toBytes(TYPE.data, END, 1, 'abc'));
      await pair.settle();
      assert.deepEqual([heard.calls, stream.isClosed, pair.end.closes], [calls, true, []]);
      assert.deepEqual([pair.end.budget.bufferedBytes, pair.end.connection.streamCount], [0, 0]);
      pair.stop();
    });
  }

  it('from onReset, and whatever else, does nothing', async () => {
    const pair = await createRawPair();
    const heard: Heard = new Heard({
      onReset: () => {
        heard.stream?.reset('internal');
        heard.stream?.end();
        heard.stream?.write(Buffer.alloc(1));
        heard.stream?.consumed(1);
      },
    });
    openHeard(pair.end.connection, false, heard);
    pair.send(toBytes(TYPE.reset, 0, 1, toNumber(RESET_CODES.unreachable)));
    await pair.settle();
    assert.deepEqual(heard.calls, ['reset unreachable']);
    assert.deepEqual(pair.frames.filter(({ id }) => id === 1).length, 1);
    pair.stop();
  });
});
