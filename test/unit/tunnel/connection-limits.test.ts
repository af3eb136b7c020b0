import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CLOSE_CODES, RESET_CODES } from '../../../src/tunnel/codes.ts';
import {
  CANCEL_WINDOW_MS,
  MAX_CANCELS_PER_SECOND,
  MAX_CONTROL_QUEUE_BYTES,
  MAX_HEAD_BYTES,
  MAX_INFORMATIONAL_HEADS,
  MAX_STREAMS,
} from '../../../src/tunnel/limits.ts';
import {
  createRawPair,
  END,
  Heard,
  openHeard,
  type RawPair,
  REQUEST,
  RESPONSE,
  toBytes,
  toJsonBytes,
  toNumber,
  TYPE,
  until,
} from './tunnel-pair.ts';

const CANCELS = (MAX_CANCELS_PER_SECOND * CANCEL_WINDOW_MS) / 1_000;
const request = (id: number): Buffer => toJsonBytes(TYPE.request, END, id, REQUEST);
const cancel = (id: number): Buffer => toBytes(TYPE.reset, 0, id, toNumber(RESET_CODES.cancelled));
const ids = (count: number): number[] => Array.from({ length: count }, (_, at) => 2 + 2 * at);

async function withRaw(use: (pair: RawPair) => Promise<void>, options?: Parameters<typeof createRawPair>[0]) {
  const pair = await createRawPair(options);
  try {
    await use(pair);
  } finally {
    pair.stop();
  }
}

describe('the number of streams', () => {
  it('is limited for the other end: one too many is refused, and there is room again', async () => {
    await withRaw(async (pair) => {
      const last = 2 + 2 * MAX_STREAMS;
      pair.send(...ids(MAX_STREAMS + 1).map(request));
      assert.deepEqual((await pair.frame(TYPE.reset)).payload, toNumber(RESET_CODES.refused));
      assert.deepEqual(
        pair.frames.filter(({ type }) => type === TYPE.reset).map(({ id }) => id),
        [last],
      );
      assert.equal(pair.end.taken.length, MAX_STREAMS);
      assert.notEqual(pair.end.connection.open(REQUEST, new Heard(), true), undefined);
      // Frames of the one that was refused may still be under way.
      pair.send(toBytes(TYPE.window, 0, last, toNumber(1)), cancel(last), cancel(4), request(last + 2));
      await pair.settle();
      assert.deepEqual([pair.end.taken.length, pair.end.closes], [MAX_STREAMS + 1, []]);
    });
  });

  it('is limited for this end: none is opened beyond it, and nothing is sent', async () => {
    await withRaw(async (pair) => {
      const streams = Array.from({ length: MAX_STREAMS }, () => openHeard(pair.end.connection).stream);
      assert.equal(pair.end.connection.open(REQUEST, new Heard(), true), undefined);
      streams[7]?.reset('cancelled');
      assert.equal(openHeard(pair.end.connection).stream.id, 1 + 2 * MAX_STREAMS);
      await pair.settle();
      assert.equal(pair.frames.filter(({ type }) => type === TYPE.request).length, MAX_STREAMS + 1);
    });
  });
});

describe('cancelled streams', () => {
  it('are counted: too many close the connection', async () => {
    await withRaw(async (pair) => {
      pair.send(...ids(CANCELS).flatMap((id) => [request(id), cancel(id)]));
      await pair.settle();
      assert.deepEqual(pair.end.closes, []);
      pair.send(request(2 * CANCELS + 2), cancel(2 * CANCELS + 2));
      assert.equal((await pair.goaway()).code, CLOSE_CODES.limit);
      assert.equal(pair.end.connection.streamCount, 0);
    });
  });

  it('are not counted once they were answered', async () => {
    await withRaw(
      async (pair) => {
        pair.send(...ids(CANCELS + 1).flatMap((id) => [request(id), cancel(id)]));
        await pair.settle();
        assert.deepEqual(pair.end.closes, []);
      },
      {
        handlers: {
          onStream: (stream) => {
            stream.respond(RESPONSE);
            return new Heard();
          },
        },
      },
    );
  });
});

describe('heads', () => {
  it('that are informational are limited, for their stream alone', async () => {
    await withRaw(async (pair) => {
      const [one, other] = [openHeard(pair.end.connection, false), openHeard(pair.end.connection, false)];
      const hint = (id: number): Buffer => toJsonBytes(TYPE.response, 0, id, { ...RESPONSE, status: 103 });
      for (let at = 0; at < MAX_INFORMATIONAL_HEADS; at++) pair.send(hint(1), hint(3));
      await pair.settle();
      assert.equal(one.heard.isOver, false);
      pair.send(hint(1));
      assert.deepEqual((await pair.frame(TYPE.reset)).payload, toNumber(RESET_CODES.limit));
      assert.deepEqual([one.heard.calls.at(-1), one.heard.calls.length], ['reset limit', MAX_INFORMATIONAL_HEADS + 1]);
      assert.deepEqual([other.heard.isOver, pair.end.closes], [false, []]);
    });
  });

  it('of requests that are too large are not sent: bytes count, not characters', async () => {
    await withRaw(async (pair) => {
      const { connection } = pair.end;
      const toHead = (length: number): typeof REQUEST => ({ ...REQUEST, fields: ['X', 'ä'.repeat(length)] });
      const room = (MAX_HEAD_BYTES - Buffer.byteLength(JSON.stringify(toHead(0)))) >> 1;
      assert.throws(() => connection.open(toHead(room + 1), new Heard(), true), { name: 'FrameError', code: 'limit' });
      assert.equal(connection.streamCount, 0);
      assert.equal(openHeard(connection, true, new Heard(), toHead(room)).stream.id, 1);
      assert.ok((await pair.frame(TYPE.request)).payload.length <= MAX_HEAD_BYTES);
    });
  });
});

describe('a peer that does not read', () => {
  it('and asks for answers loses its connection', async () => {
    await withRaw(async (pair) => {
      pair.socket.pause();
      const ping = toBytes(TYPE.ping, 0, 0, Buffer.alloc(8));
      const pings = Buffer.concat(Array.from({ length: 10_000 }, () => ping));
      let most = 0;
      while (pair.end.closes.length === 0) {
        pair.send(pings);
        most = Math.max(most, pair.end.socket.writableLength);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(
        pair.end.closes.map(({ code, detail }) => [code, detail]),
        [['limit', 'the other end does not read']],
      );
      assert.ok(most <= MAX_CONTROL_QUEUE_BYTES, `${most} bytes`);
      await until(() => pair.end.socket.closed, 'the end of a socket that nobody reads');
    });
  });

  it('gets no new streams, but keeps its connection', async () => {
    await withRaw(async (pair) => {
      pair.socket.pause();
      const head = { ...REQUEST, fields: ['X', 'x'.repeat(30_000)] };
      let opened = 0;
      while (pair.end.connection.open(head, new Heard(), true) !== undefined) opened++;
      assert.ok(opened > 50 && opened < 100, `${opened} streams`);
      assert.deepEqual(pair.end.closes, []);
      pair.socket.resume();
      await until(() => pair.frames.filter(({ type }) => type === TYPE.request).length === opened);
      await until(() => pair.end.connection.open(head, new Heard(), true) !== undefined, 'room for a stream');
    });
  });
});
