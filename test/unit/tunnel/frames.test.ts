import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { FLAG_END, FRAME, FrameError, FrameParser, toFrame, toNumberFrame } from '../../../src/tunnel/frames.ts';
import { MAX_FRAME_BYTES } from '../../../src/tunnel/limits.ts';
import { END, toBytes, toNumber, TYPE } from './tunnel-pair.ts';

interface Told {
  readonly type: number | 'error';
  readonly flags: number;
  readonly id: number;
  readonly payload: string;
}

/** What a parser makes of chunks. Parts of a body that follow each other are put together. */
function parse(chunks: readonly Buffer[]): readonly Told[] {
  const told: Told[] = [];
  const parser = new FrameParser({
    onFrame: (type, flags, id, payload) => void told.push({ type, flags, id, payload: payload.toString('hex') }),
    onData: (id, part, isEnd) => {
      const last = told.at(-1);
      const isMore = last?.type === TYPE.data && last.id === id && last.flags === 0;
      if (isMore) told.pop();
      const payload = (isMore ? last.payload : '') + part.toString('hex');
      told.push({ type: TYPE.data, flags: isEnd ? END : 0, id, payload });
    },
  });
  try {
    for (const chunk of chunks) parser.push(chunk);
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    told.push({ type: 'error', flags: 0, id: 0, payload: `${error.code}: ${error.message}` });
  }
  return told;
}

const FRAMES: readonly Told[] = [
  { type: TYPE.hello, flags: 0, id: 0, payload: '7b7d' },
  { type: TYPE.data, flags: 0, id: 1, payload: '0102030405060708090a' },
  { type: TYPE.data, flags: END, id: 0xffff_ffff, payload: 'ff' },
  { type: TYPE.data, flags: END, id: 3, payload: '' },
  { type: TYPE.window, flags: 0, id: 5, payload: '00011170' },
  { type: TYPE.table, flags: 0, id: 0, payload: '' },
  { type: 250, flags: 255, id: 9, payload: 'abcdef' },
  { type: TYPE.ping, flags: 0, id: 0, payload: '0102030405060708' },
];

const toAll = (frames: readonly Told[]): Buffer =>
  Buffer.concat(
    frames.map(({ type, flags, id, payload }) => toBytes(type as number, flags, id, Buffer.from(payload, 'hex'))),
  );

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, places: readonly number[]): readonly Buffer[] {
  const sorted = [0, ...places.toSorted((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, at) => bytes.subarray(sorted[at], end));
}

describe('FrameParser', () => {
  it('reads frames that come in one piece', () => {
    assert.deepEqual(parse([toAll(FRAMES)]), FRAMES);
  });

  it('reads the same wherever they are cut in two', () => {
    const bytes = toAll(FRAMES);
    for (let at = 0; at <= bytes.length; at++) assert.deepEqual(parse(cut(bytes, [at])), FRAMES, `cut at ${at}`);
  });

  it('reads the same byte by byte', () => {
    const bytes = toAll(FRAMES);
    assert.deepEqual(parse([...bytes].map((byte) => Buffer.of(byte))), FRAMES);
  });

  it('reads whatever frames the same in whatever pieces', () => {
    const frame = fc.record(
      {
        type: fc.integer({ min: 0, max: 255 }).filter((type) => type !== TYPE.data),
        flags: fc.integer({ min: 0, max: 255 }),
        id: fc.integer({ min: 0, max: 0xffff_ffff }),
        payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('hex')),
      },
      { noNullPrototype: true },
    );
    const body = fc.record(
      {
        type: fc.constant(TYPE.data),
        flags: fc.constant(END),
        id: fc.integer({ min: 0, max: 9 }),
        payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('hex')),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(frame, body), { maxLength: 8 }), fc.array(fc.nat()), (frames, places) => {
        const bytes = toAll(frames);
        const pieces = cut(
          bytes,
          places.map((place) => place % (bytes.length + 1)),
        );
        assert.deepEqual(parse(pieces), frames);
      }),
      { numRuns: 3_000 },
    );
  });

  it('makes the same of any bytes in whatever pieces', () => {
    const header = fc
      .tuple(fc.integer({ min: 0, max: 11 }), fc.constantFrom(0, 1, 0xff), fc.nat(4), fc.nat(12))
      .map(([type, flags, id, length]) => toBytes(type, flags, id, '', length));
    const noise = fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.array(fc.oneof(header, noise), { maxLength: 12 }), fc.array(fc.nat()), (parts, places) => {
        const bytes = Buffer.concat(parts);
        const pieces = cut(
          bytes,
          places.map((place) => place % (bytes.length + 1)),
        );
        assert.deepEqual(parse(pieces), parse([bytes]));
      }),
      { numRuns: 3_000 },
    );
  });

  it('hands bodies on before they are whole, and nothing else', () => {
    const parts: [number, boolean][] = [];
    let frames = 0;
    const parser = new FrameParser({
      onFrame: () => void frames++,
      onData: (_, part, isEnd) => void parts.push([part.length, isEnd]),
    });
    const bytes = toBytes(TYPE.data, END, 1, Buffer.alloc(1_000));
    parser.push(bytes.subarray(0, 500));
    assert.deepEqual(parts, [[491, false]]);
    parser.push(bytes.subarray(500));
    assert.deepEqual(parts, [
      [491, false],
      [509, true],
    ]);
    parser.push(toBytes(TYPE.table, 0, 0, Buffer.alloc(1_000)).subarray(0, 1_000));
    assert.equal(frames, 0);
  });

  it('needs no memory for a frame whose payload has not come', () => {
    const before = process.memoryUsage().arrayBuffers;
    const header = toBytes(TYPE.table, 0, 0, '', MAX_FRAME_BYTES);
    const parsers = Array.from({ length: 2_000 }, () => {
      const parser = new FrameParser({ onFrame: () => undefined, onData: () => undefined });
      parser.push(header);
      return parser;
    });
    assert.ok(process.memoryUsage().arrayBuffers - before < 2_000 * 1_000, `${parsers.length} parsers`);
  });

  const REFUSED: Readonly<Record<string, readonly [Buffer, string]>> = {
    'one byte too many': [toBytes(TYPE.data, 0, 1, '', MAX_FRAME_BYTES + 1), 'limit: a frame of 65537 bytes'],
    'the longest that can be said': [toBytes(TYPE.ping, 0, 0, '', 0xff_ffff), 'limit: a frame of 16777215 bytes'],
    'an empty body that does not end': [toBytes(TYPE.data, 0xfe, 1), 'protocol: a DATA frame of no bytes'],
  };
  for (const [name, [bytes, message]] of Object.entries(REFUSED)) {
    it(`refuses ${name} by its header`, () => {
      assert.equal(parse([bytes]).at(-1)?.payload, message);
      assert.equal(parse([...bytes].map((byte) => Buffer.of(byte))).at(-1)?.payload, message);
    });
  }
});

describe('toFrame', () => {
  it('writes what the wire format says', () => {
    assert.deepEqual(toFrame(FRAME.table, FLAG_END, 0xffff_fffe, 'ä'), toBytes(TYPE.table, END, 0xffff_fffe, 'ä'));
    assert.deepEqual(toFrame(FRAME.ping, 0, 0, Buffer.of(1, 2)), toBytes(TYPE.ping, 0, 0, Buffer.of(1, 2)));
    assert.deepEqual(toFrame(FRAME.data, FLAG_END, 1), toBytes(TYPE.data, END, 1));
    assert.deepEqual(toNumberFrame(FRAME.window, 7, 0xffff_ffff), toBytes(TYPE.window, 0, 7, toNumber(0xffff_ffff)));
  });

  it('has the numbers of the wire format', () => {
    assert.deepEqual({ ...FRAME }, { ...TYPE });
  });
});
