import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { CLOSE_CODES } from '../../../src/tunnel/codes.ts';
import { PART_OVERHEAD_BYTES } from '../../../src/tunnel/limits.ts';
import { toHello } from '../../support/tunnel-pair.ts';
import {
  createEnd,
  type End,
  Heard,
  HELLO_JSON,
  openHeard,
  REQUEST,
  RESPONSE,
  toBytes,
  toJsonBytes,
  toNumber,
  TYPE,
  until,
} from './tunnel-pair.ts';

/** Frames in one of these runs, at most. */
const MAX_FRAMES = 40;

/** A socket without a network: what is pushed is read, what is written is counted. */
class Wire extends Duplex {
  writtenBytes = 0;
  override _read(): void {}
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.writtenBytes += chunk.length;
    done();
  }
}

interface Run {
  readonly end: End;
  readonly wire: Wire;
  readonly heard: Heard;
}

/** An end that has heard HELLO and opened stream 1, or one that has heard nothing. */
function begin(isGreeted: boolean): Run {
  const wire = new Wire({ allowHalfOpen: false });
  const end = createEnd('gateway', wire, {
    isWelcoming: false,
    handlers: {
      onHello: () => end.connection.welcome(toHello('gw')),
      onStream: (stream) => {
        stream.respond(RESPONSE);
        stream.write(Buffer.from('x'));
        return new Heard({}, stream.id % 4 === 0);
      },
    },
  });
  const heard = new Heard({}, false);
  if (isGreeted) {
    wire.emit('data', toBytes(TYPE.hello, 0, 0, HELLO_JSON));
    openHeard(end.connection, false, heard);
  }
  return { end, wire, heard };
}

/** Looks at an end after whatever came: it is closed in good order, or it is whole and can be closed so. */
function check({ end, wire, heard }: Run, chunks: readonly Buffer[]): void {
  const { connection, budget, closes } = end;
  const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
  const most = bytes + (chunks.length + MAX_FRAMES) * PART_OVERHEAD_BYTES;
  assert.ok(budget.bufferedBytes >= 0 && budget.bufferedBytes <= most, `${budget.bufferedBytes} bytes held`);
  const isClosed = closes.length === 1;
  if (isClosed) assert.ok(Object.keys(CLOSE_CODES).includes(closes[0]?.code ?? ''));
  else assert.deepEqual(closes, []);
  connection.close('drain', 'over');
  assert.equal(closes.length, 1);
  assert.deepEqual([connection.streamCount, connection.isOpen], [0, false]);
  assert.ok(heard.calls.filter((call) => call === 'end').length <= 1);
  const reset = heard.calls.findIndex((call) => call.startsWith('reset'));
  assert.ok(reset === -1 || reset === heard.calls.length - 1, heard.calls.join(' '));
  assert.notEqual(closes[0]?.code, 'unavailable');
  wire.destroy();
}

const byte = fc.integer({ min: 0, max: 255 });
const raw = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
const id = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 8, 9, 10) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff_ffff }) },
);
const json = fc.oneof(
  fc.constantFrom<object>(
    REQUEST,
    RESPONSE,
    { ...RESPONSE, status: 100 },
    { ...RESPONSE, status: 101 },
    { fields: [] },
  ),
  fc.constantFrom<object>({ code: 0, lastStream: 0, detail: '' }, { code: 3, lastStream: 1, detail: 'x' }),
  fc.object({ maxDepth: 2 }),
);
const payload = fc.oneof(
  json.map((value) => Buffer.from(JSON.stringify(value))),
  fc.constantFrom(toNumber(0), toNumber(1), toNumber(2), toNumber(65_536), toNumber(0xffff_ffff), Buffer.alloc(8)),
  raw,
  fc.constantFrom(0, 1, 40_000, 65_536).map((size) => Buffer.alloc(size)),
);
/** A frame that may well fit what goes on. */
const likely = fc.oneof(
  id.map((at) => toJsonBytes(TYPE.request, at & 1, (at % 1_000) * 2, REQUEST)),
  fc.constantFrom(0, 1).map((flags) => toJsonBytes(TYPE.response, flags, 1, RESPONSE)),
  fc
    .tuple(id, fc.constantFrom(0, 1), fc.constantFrom(0, 1, 900, 30_000))
    .map(([at, flags, size]) => toBytes(TYPE.data, flags, at, Buffer.alloc(size))),
  id.map((at) => toJsonBytes(TYPE.trailers, 1, at, { fields: ['X', '1'] })),
  id.map((at) => toBytes(TYPE.window, 0, at, toNumber(1_000))),
  id.map((at) => toBytes(TYPE.reset, 0, at, toNumber(2))),
  fc.constant(toBytes(TYPE.ping, 0, 0, Buffer.alloc(8))),
  fc.constant(toBytes(TYPE.table, 1, 0, '{}')),
);
const any = fc
  .tuple(fc.oneof(fc.integer({ min: 0, max: 11 }), byte), fc.oneof(fc.constantFrom(0, 1), byte), id, payload)
  .map(([type, flags, at, content]) => toBytes(type, flags, at, content));
/** A frame with a byte of it changed, or that is cut short. */
const broken = fc.tuple(fc.oneof(likely, any), fc.nat(), byte, fc.boolean()).map(([frame, at, value, isCut]) => {
  const copy = Buffer.from(frame);
  if (isCut) return copy.subarray(0, at % (copy.length + 1));
  copy[at % copy.length] = value;
  return copy;
});

/** Cuts bytes into chunks of the given sizes, in turn. */
function toChunks(bytes: Buffer, lengths: readonly number[]): readonly Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += chunks.at(-1)?.length ?? 1) {
    chunks.push(bytes.subarray(at, at + (lengths[chunks.length % lengths.length] ?? 1)));
  }
  return chunks;
}

const lengths = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(16_384, 65_536)), {
  minLength: 1,
  maxLength: 5,
});

const RUNS: Readonly<Record<string, readonly [fc.Arbitrary<Buffer>, isGreeted: boolean, numRuns: number]>> = {
  'any bytes before HELLO': [fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)), false, 5_000],
  'any bytes after HELLO': [fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)), true, 5_000],
  'any frames before HELLO': [fc.array(any, { maxLength: 4 }).map((all) => Buffer.concat(all)), false, 2_000],
  'any frames': [fc.array(any, { maxLength: 12 }).map((all) => Buffer.concat(all)), true, 5_000],
  'frames that may fit': [fc.array(likely, { maxLength: 30 }).map((all) => Buffer.concat(all)), true, 5_000],
  'frames that fit but for one': [
    fc
      .tuple(fc.array(likely, { maxLength: 10 }), broken, fc.array(likely, { maxLength: 10 }))
      .map(([before, one, after]) => Buffer.concat([...before, one, ...after])),
    true,
    5_000,
  ],
};

describe('a connection, whatever comes', () => {
  for (const [name, [bytes, isGreeted, numRuns]] of Object.entries(RUNS)) {
    it(`ends or goes on in good order: ${name}`, async () => {
      let runs = 0;
      await fc.assert(
        fc.asyncProperty(bytes, lengths, async (all, sizes) => {
          const run = begin(isGreeted);
          const chunks = toChunks(all, sizes);
          for (const chunk of chunks) run.wire.emit('data', chunk);
          // What it has to send goes out with the turn of the event loop.
          await new Promise((resolve) => setImmediate(resolve));
          check(run, chunks);
          runs++;
        }),
        { numRuns },
      );
      assert.equal(runs, numRuns);
    });
  }

  it('makes the same of it in whatever pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(likely, broken), { maxLength: 12 }), lengths, (frames, sizes) => {
        const bytes = Buffer.concat(frames);
        const [whole, pieces] = [begin(true), begin(true)];
        whole.wire.emit('data', bytes);
        for (const chunk of toChunks(bytes, sizes)) pieces.wire.emit('data', chunk);
        for (const { end, wire } of [whole, pieces]) {
          end.connection.close('drain', 'over');
          wire.destroy();
        }
        assert.deepEqual(pieces.end.closes, whole.end.closes);
        assert.deepEqual([pieces.heard.calls, pieces.end.tables], [whole.heard.calls, whole.end.tables]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('keeps no memory of it', async () => {
    const { end, wire } = begin(true);
    const noise = Buffer.concat([
      ...Array.from({ length: 50 }, () => toBytes(99, 0, 7, Buffer.alloc(60_000))),
      ...Array.from({ length: 50 }, () => toBytes(TYPE.ping, 0, 0, Buffer.alloc(8))),
      ...Array.from({ length: 50 }, () => toBytes(TYPE.pong, 0, 0, Buffer.alloc(8))),
      toBytes(TYPE.table, 1, 0, Buffer.alloc(60_000, 'x')),
    ]);
    end.tables.push = () => 0;
    const before = process.memoryUsage().arrayBuffers;
    for (let round = 0; round < 200; round++) {
      wire.emit('data', noise);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => wire.writableLength === 0);
    assert.deepEqual(end.closes, []);
    assert.ok(process.memoryUsage().arrayBuffers - before < 100_000_000);
    end.connection.close('drain', 'over');
    wire.destroy();
  });
});
