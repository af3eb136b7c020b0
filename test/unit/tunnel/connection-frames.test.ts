import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CLOSE_CODES, type CloseCode } from '../../../src/tunnel/codes.ts';
import {
  INITIAL_WINDOW_BYTES,
  MAX_FIELDS,
  MAX_FRAME_BYTES,
  MAX_HEAD_BYTES,
  MAX_HELLO_BYTES,
  MAX_TABLE_BYTES,
  MAX_TABLE_FRAMES,
} from '../../../src/tunnel/limits.ts';
import {
  createRawPair,
  END,
  type Heard,
  HELLO_JSON,
  openHeard,
  type RawPair,
  REQUEST,
  RESPONSE,
  toBytes,
  toJsonBytes,
  toNumber,
  TYPE,
} from './tunnel-pair.ts';

/** Streams of the end under test, a gateway, are odd; those of the peer even. */
const OURS = 1;
const THEIRS = 2;

const request = (id = THEIRS, changes: object = {}, flags = 0): Buffer =>
  toJsonBytes(TYPE.request, flags, id, { ...REQUEST, ...changes });
const response = (changes: object = {}, flags = 0): Buffer =>
  toJsonBytes(TYPE.response, flags, OURS, { ...RESPONSE, ...changes });
const data = (id: number, payload: string | Buffer = 'x', flags = 0): Buffer => toBytes(TYPE.data, flags, id, payload);
const trailers = (id: number, value: unknown = { fields: [] }): Buffer => toJsonBytes(TYPE.trailers, END, id, value);
const window = (id: number, credit: number): Buffer => toBytes(TYPE.window, 0, id, toNumber(credit));
const reset = (id: number, code = 2): Buffer => toBytes(TYPE.reset, 0, id, toNumber(code));
const goaway = (changes: object = {}): Buffer =>
  toJsonBytes(TYPE.goaway, 0, 0, { code: 0, lastStream: 0, detail: 'bye', ...changes });
const pairs = (count: number): string[] => Array.from({ length: count }, (_, at) => [`X-${at}`, '1']).flat();

type Case = readonly [bytes: readonly Buffer[], code: CloseCode];

/** Each is sent to a gateway that has opened stream 1, whose request is complete, after HELLO. */
const REFUSED: Readonly<Record<string, Case>> = {
  'a second HELLO': [[toBytes(TYPE.hello, 0, 0, HELLO_JSON)], 'protocol'],
  'HELLO on a stream': [[toBytes(TYPE.hello, 0, THEIRS, HELLO_JSON)], 'protocol'],
  'REQUEST on stream 0': [[request(0)], 'protocol'],
  'REQUEST with an id of ours': [[request(3)], 'protocol'],
  'REQUEST with an id that we use': [[request(OURS)], 'protocol'],
  'REQUEST with the same id again': [[request(4), request(4)], 'protocol'],
  'REQUEST with an id that goes back': [[request(4), request(2)], 'protocol'],
  'REQUEST with the id of a stream that is over': [[request(4), reset(4), request(4)], 'protocol'],
  'REQUEST that is too large': [[toBytes(TYPE.request, 0, 2, ' '.repeat(MAX_HEAD_BYTES + 1))], 'limit'],
  'REQUEST without a payload': [[toBytes(TYPE.request, 0, 2)], 'protocol'],
  'REQUEST that is no JSON': [[toBytes(TYPE.request, 0, 2, '{"to"')], 'protocol'],
  'REQUEST that is no object': [[toBytes(TYPE.request, 0, 2, '[1]')], 'protocol'],
  'REQUEST without a destination': [[request(2, { to: undefined })], 'protocol'],
  'REQUEST with CR LF in its target': [[request(2, { target: '/ HTTP/1.1\r\nX: 1' })], 'protocol'],
  'REQUEST with a blank in its method': [[request(2, { method: 'GET /x' })], 'protocol'],
  'REQUEST with CR LF in a value': [[request(2, { fields: ['X', '1\r\nY: 2'] })], 'protocol'],
  'REQUEST with LF in a name': [[request(2, { fields: ['X\nY', '1'] })], 'protocol'],
  'REQUEST with one field too many': [[request(2, { fields: pairs(MAX_FIELDS + 1) })], 'protocol'],
  'RESPONSE on stream 0': [[toJsonBytes(TYPE.response, 0, 0, RESPONSE)], 'protocol'],
  'RESPONSE on a stream never opened': [[toJsonBytes(TYPE.response, 0, 3, RESPONSE)], 'protocol'],
  'RESPONSE on the peer’s own stream': [[request(), toJsonBytes(TYPE.response, 0, THEIRS, RESPONSE)], 'protocol'],
  'RESPONSE twice': [[response(), response()], 'protocol'],
  'RESPONSE after the body': [[response(), data(OURS), response()], 'protocol'],
  'an informational RESPONSE after the final one': [[response(), response({ status: 103 })], 'protocol'],
  'an informational RESPONSE with END': [[response({ status: 100 }, END)], 'protocol'],
  'RESPONSE after 101': [[response({ status: 101 }), response()], 'protocol'],
  'RESPONSE of status 99': [[response({ status: 99 })], 'protocol'],
  'RESPONSE of status 600': [[response({ status: 600 })], 'protocol'],
  'RESPONSE of status 200.5': [[response({ status: 200.5 })], 'protocol'],
  'RESPONSE with CR LF in its reason': [[response({ reason: 'OK\r\nX: 1' })], 'protocol'],
  'RESPONSE with CR in a value': [[response({ fields: ['X', '1\r'] })], 'protocol'],
  'RESPONSE with half a field': [[response({ fields: ['X'] })], 'protocol'],
  'RESPONSE with Transfer-Encoding': [[response({ fields: ['Transfer-Encoding', 'chunked'] })], 'protocol'],
  'RESPONSE with one field too many': [[response({ fields: pairs(MAX_FIELDS + 1) })], 'protocol'],
  'RESPONSE that is too large': [[toBytes(TYPE.response, 0, OURS, ' '.repeat(MAX_HEAD_BYTES + 1))], 'limit'],
  'DATA on stream 0': [[data(0)], 'protocol'],
  'DATA on a stream never opened': [[data(4)], 'protocol'],
  'DATA on a stream of ours never opened': [[data(3)], 'protocol'],
  'DATA before RESPONSE': [[data(OURS)], 'protocol'],
  'DATA after an informational RESPONSE': [[response({ status: 100 }), data(OURS)], 'protocol'],
  'DATA after END': [[request(), data(THEIRS, 'x', END), data(THEIRS)], 'protocol'],
  'DATA after REQUEST with END': [[request(THEIRS, {}, END), data(THEIRS)], 'protocol'],
  'DATA after TRAILERS': [[request(), trailers(THEIRS), data(THEIRS)], 'protocol'],
  'DATA of no bytes without END': [[request(), data(THEIRS, '')], 'protocol'],
  'DATA beyond the window': [[request(), data(THEIRS, Buffer.alloc(INITIAL_WINDOW_BYTES)), data(THEIRS)], 'protocol'],
  'END twice': [[request(), data(THEIRS, '', END), data(THEIRS, '', END)], 'protocol'],
  'END before RESPONSE': [[data(OURS, '', END)], 'protocol'],
  'TRAILERS on stream 0': [[trailers(0)], 'protocol'],
  'TRAILERS on a stream never opened': [[trailers(4)], 'protocol'],
  'TRAILERS before RESPONSE': [[trailers(OURS)], 'protocol'],
  'TRAILERS after END': [[request(), data(THEIRS, 'x', END), trailers(THEIRS)], 'protocol'],
  'TRAILERS twice': [[request(), trailers(THEIRS), trailers(THEIRS)], 'protocol'],
  'TRAILERS with LF in a value': [[request(), trailers(THEIRS, { fields: ['X', '\n'] })], 'protocol'],
  'TRAILERS that are no fields': [[request(), trailers(THEIRS, { fields: 'x' })], 'protocol'],
  'TRAILERS that are too large': [
    [request(), toBytes(TYPE.trailers, END, THEIRS, ' '.repeat(MAX_HEAD_BYTES + 1))],
    'limit',
  ],
  'WINDOW on stream 0': [[window(0, 1)], 'protocol'],
  'WINDOW on a stream never opened': [[window(4, 1)], 'protocol'],
  'WINDOW of 0': [[window(OURS, 0)], 'protocol'],
  'WINDOW that overflows at once': [[window(OURS, 0x7fff_ffff)], 'protocol'],
  'WINDOW that overflows in sum': [[window(OURS, 0x4000_0000), window(OURS, 0x4000_0000)], 'protocol'],
  'WINDOW of 3 bytes': [[toBytes(TYPE.window, 0, OURS, Buffer.alloc(3))], 'protocol'],
  'WINDOW of 5 bytes': [[toBytes(TYPE.window, 0, OURS, Buffer.alloc(5))], 'protocol'],
  'RESET on stream 0': [[reset(0)], 'protocol'],
  'RESET on a stream never opened': [[reset(4)], 'protocol'],
  'RESET on a stream of ours never opened': [[reset(3)], 'protocol'],
  'RESET without a code': [[toBytes(TYPE.reset, 0, OURS)], 'protocol'],
  'RESET that is short': [[toBytes(TYPE.reset, 0, OURS, 'abc')], 'protocol'],
  'PING of 7 bytes': [[toBytes(TYPE.ping, 0, 0, Buffer.alloc(7))], 'protocol'],
  'PING of 9 bytes': [[toBytes(TYPE.ping, 0, 0, Buffer.alloc(9))], 'protocol'],
  'PING of nothing': [[toBytes(TYPE.ping, 0, 0)], 'protocol'],
  'PING on a stream': [[toBytes(TYPE.ping, 0, OURS, Buffer.alloc(8))], 'protocol'],
  'PONG of 7 bytes': [[toBytes(TYPE.pong, 0, 0, Buffer.alloc(7))], 'protocol'],
  'PONG on a stream': [[toBytes(TYPE.pong, 0, OURS, Buffer.alloc(8))], 'protocol'],
  'GOAWAY that is no JSON': [[toBytes(TYPE.goaway, 0, 0, 'bye')], 'protocol'],
  'GOAWAY without a code': [[goaway({ code: undefined })], 'protocol'],
  'GOAWAY with a text for its code': [[goaway({ code: '0' })], 'protocol'],
  'GOAWAY without a last stream': [[goaway({ lastStream: -1 })], 'protocol'],
  'GOAWAY with LF in its detail': [[goaway({ detail: 'a\nb' })], 'protocol'],
  'GOAWAY with a detail that is long': [[goaway({ detail: 'x'.repeat(201) })], 'protocol'],
  'GOAWAY on a stream': [[toJsonBytes(TYPE.goaway, 0, OURS, { code: 0, lastStream: 0, detail: '' })], 'protocol'],
  'TABLE on a stream': [[toBytes(TYPE.table, END, THEIRS, '{}')], 'protocol'],
  'TABLE that is too large': [
    [
      ...Array.from({ length: MAX_TABLE_BYTES / MAX_FRAME_BYTES }, () =>
        toBytes(TYPE.table, 0, 0, Buffer.alloc(MAX_FRAME_BYTES)),
      ),
      toBytes(TYPE.table, END, 0, 'x'),
    ],
    'limit',
  ],
  'TABLE in pieces of nothing': [
    Array.from({ length: MAX_TABLE_FRAMES + 1 }, () => toBytes(TYPE.table, 0, 0)),
    'limit',
  ],
  'a frame that is one byte too long': [[toBytes(TYPE.data, 0, OURS, '', MAX_FRAME_BYTES + 1)], 'limit'],
  'a frame of 16 MB': [[toBytes(TYPE.ping, 0, 0, '', 0xff_ffff)], 'limit'],
  'a frame of an unknown type that is too long': [[toBytes(200, 0, 0, '', MAX_FRAME_BYTES + 1)], 'limit'],
};

async function withOpenStream(use: (pair: RawPair, heard: Heard) => Promise<void>): Promise<void> {
  const pair = await createRawPair({ isReading: false });
  try {
    await use(pair, openHeard(pair.end.connection).heard);
  } finally {
    pair.stop();
  }
}

describe('a frame that breaks the protocol', () => {
  for (const [name, [bytes, code]] of Object.entries(REFUSED)) {
    it(`${name}: ${code}`, async () => {
      await withOpenStream(async (pair, heard) => {
        pair.send(...bytes);
        assert.equal((await pair.goaway()).code, CLOSE_CODES[code]);
        const [closed, ...more] = pair.end.closes;
        assert.deepEqual([closed?.code, closed?.isRemote, more], [code, false, []]);
        assert.equal(heard.calls.at(-1), 'reset lost');
        assert.equal(pair.end.connection.streamCount, 0);
        assert.deepEqual([pair.end.budget.bufferedBytes, pair.end.budget.grownBytes], [0, 0]);
      });
    });
  }

  it('is answered before the connection ends, and nothing behind it counts', async () => {
    await withOpenStream(async (pair, heard) => {
      const isEnded = new Promise((resolve) => pair.socket.once('end', resolve));
      pair.send(data(0), response({}, END), request());
      await isEnded;
      assert.deepEqual(pair.frames.at(-1)?.type, TYPE.goaway);
      assert.deepEqual([heard.calls, pair.end.taken], [['reset lost'], []]);
    });
  });
});

/** What must not close it. `heard` is what stream 1 hears of it. */
const TAKEN: Readonly<Record<string, readonly [bytes: readonly Buffer[], heard: readonly string[]]>> = {
  'an unknown type': [[toBytes(11, 0, 0), toBytes(255, 255, 7, 'later')], []],
  'an unknown type on any stream': [[toBytes(77, 0, 0xffff_ffff, Buffer.alloc(MAX_FRAME_BYTES))], []],
  'flags that are not known': [
    [response({}, 0xfe), data(OURS, 'abc', 0xff)],
    ['response 200', 'data', 'end'],
  ],
  'RESPONSE with END': [[response({}, END)], ['response 200', 'end']],
  'informational ones first': [
    [response({ status: 100 }), response({ status: 103 }), response({}, END)],
    ['response 100', 'response 103', 'response 200', 'end'],
  ],
  'END alone': [
    [response(), data(OURS, '', END)],
    ['response 200', 'end'],
  ],
  'TRAILERS without the flag': [
    [response(), data(OURS), toJsonBytes(TYPE.trailers, 0, OURS, { fields: ['X', '1'] })],
    ['response 200', 'data', 'end'],
  ],
  'the most fields': [[response({ fields: pairs(MAX_FIELDS) }, END)], ['response 200', 'end']],
  'the largest head': [
    [toBytes(TYPE.response, END, OURS, JSON.stringify(RESPONSE).padEnd(MAX_HEAD_BYTES))],
    ['response 200', 'end'],
  ],
  'a whole window': [
    [response(), data(OURS, Buffer.alloc(INITIAL_WINDOW_BYTES), END)],
    ['response 200', 'data', 'end'],
  ],
  'the highest WINDOW': [[window(OURS, 0x7fff_ffff - INITIAL_WINDOW_BYTES)], []],
  'RESET of a code that is not known': [[reset(OURS, 4_000_000_000)], ['reset internal']],
  'frames for a stream that is over': [
    [response({}, END), data(OURS), data(OURS, '', END), response(), trailers(OURS), window(OURS, 1), reset(OURS)],
    ['response 200', 'end'],
  ],
  'ids with gaps, and frames for those in them': [[request(2), request(400), data(200), reset(202)], []],
  'the highest id': [[request(0xffff_fffe)], []],
  'PONG that nobody asked for': [[toBytes(TYPE.pong, 0, 0, Buffer.alloc(8))], []],
  'members that are not known': [[response({ later: [1] }, END)], ['response 200', 'end']],
};

describe('a frame that is as it should be', () => {
  for (const [name, [bytes, heard]] of Object.entries(TAKEN)) {
    it(name, async () => {
      await withOpenStream(async (pair, stream) => {
        pair.send(...bytes);
        await pair.settle();
        assert.deepEqual(pair.end.closes, []);
        assert.deepEqual(stream.calls, heard);
      });
    });
  }

  it('a table in pieces, and another one after it', async () => {
    await withOpenStream(async (pair) => {
      const json = JSON.stringify({ rules: ['ä'.repeat(MAX_FRAME_BYTES)] });
      const bytes = Buffer.from(json);
      pair.send(
        toBytes(TYPE.table, 0, 0, bytes.subarray(0, 12)),
        toBytes(TYPE.table, 0, 0, bytes.subarray(12, 60_001)),
      );
      pair.send(toBytes(TYPE.table, 0, 0), toBytes(TYPE.table, 0, 0, bytes.subarray(60_001, 120_000)));
      pair.send(toBytes(TYPE.table, END, 0, bytes.subarray(120_000)), toBytes(TYPE.table, END, 0, '{}'));
      await pair.settle();
      assert.deepEqual(pair.end.tables, [json, '{}']);
    });
  });

  it('the largest table that an end sends is one that the other takes', async () => {
    await withOpenStream(async (pair) => {
      pair.end.connection.sendTable('x'.repeat(MAX_TABLE_BYTES));
      pair.end.connection.sendTable('');
      await pair.settle();
      const sent = pair.frames.filter(({ type }) => type === TYPE.table);
      assert.equal(Buffer.concat(sent.slice(0, -1).map(({ payload }) => payload)).length, MAX_TABLE_BYTES);
      assert.deepEqual(sent.map(({ flags }) => flags).slice(-3), [0, END, END]);
      pair.send(...sent.map(({ type, flags, id, payload }) => toBytes(type, flags, id, payload)));
      await pair.settle();
      assert.deepEqual(
        pair.end.tables.map((table) => table.length),
        [MAX_TABLE_BYTES, 0],
      );
    });
  });

  it('PING is answered with its own bytes', async () => {
    await withOpenStream(async (pair) => {
      pair.send(toBytes(TYPE.ping, 0, 0, 'abcdefgh'));
      assert.equal((await pair.frame(TYPE.pong)).payload.toString(), 'abcdefgh');
    });
  });
});

/** What comes first, each on a connection of its own; `code` is why the end closes, undefined if it does not. */
const FIRST: Readonly<Record<string, readonly [bytes: Buffer, code: CloseCode | undefined]>> = {
  'a HELLO': [toBytes(TYPE.hello, 0, 0, HELLO_JSON), undefined],
  'the largest HELLO': [toBytes(TYPE.hello, 0, 0, HELLO_JSON.padEnd(MAX_HELLO_BYTES)), undefined],
  'a HELLO that is too large': [toBytes(TYPE.hello, 0, 0, HELLO_JSON.padEnd(MAX_HELLO_BYTES + 1)), 'limit'],
  'a HELLO that is no JSON': [toBytes(TYPE.hello, 0, 0, 'hello'), 'protocol'],
  'a HELLO without an id': [toBytes(TYPE.hello, 0, 0, HELLO_JSON.replace('"id"', '"no"')), 'protocol'],
  'a HELLO of nothing': [toBytes(TYPE.hello, 0, 0), 'protocol'],
  'a REQUEST': [request(), 'protocol'],
  'a RESPONSE': [response(), 'protocol'],
  'a DATA': [data(THEIRS), 'protocol'],
  'a TRAILERS': [trailers(THEIRS), 'protocol'],
  'a WINDOW': [window(OURS, 1), 'protocol'],
  'a RESET': [reset(OURS), 'protocol'],
  'a PING': [toBytes(TYPE.ping, 0, 0, Buffer.alloc(8)), 'protocol'],
  'a PONG': [toBytes(TYPE.pong, 0, 0, Buffer.alloc(8)), 'protocol'],
  'a TABLE': [toBytes(TYPE.table, END, 0, '{}'), 'protocol'],
  'an unknown type': [toBytes(99, 0, 0), 'protocol'],
  'the start of TLS': [Buffer.from('16030100eb010000e70303', 'hex'), 'limit'],
  'a request of HTTP': [Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), 'limit'],
};

describe('what comes first', () => {
  for (const [name, [bytes, code]] of Object.entries(FIRST)) {
    it(`${name}: ${code ?? 'taken'}`, async () => {
      const pair = await createRawPair({ isGreeting: false });
      pair.send(bytes);
      if (code === undefined) await pair.frame(TYPE.hello);
      else assert.equal((await pair.goaway()).code, CLOSE_CODES[code]);
      assert.deepEqual(pair.end.closes[0]?.code, code);
      pair.stop();
    });
  }

  it('a GOAWAY says why the gateway lets nobody in', async () => {
    const pair = await createRawPair({ role: 'agent', isGreeting: false });
    pair.send(goaway({ code: CLOSE_CODES.unauthorized, detail: 'revoked', retryAfterMs: 5_000 }));
    await new Promise((resolve) => pair.socket.once('end', resolve));
    const expected = { code: 'unauthorized', detail: 'revoked', isRemote: true, retryAfterMs: 5_000 };
    assert.deepEqual(pair.end.closes, [expected]);
    assert.deepEqual(pair.frames, []);
    pair.stop();
  });
});
