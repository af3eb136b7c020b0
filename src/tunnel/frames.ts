import type { CloseCode } from './codes.ts';
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from './limits.ts';

/** Types of frames. */
export const FRAME = {
  hello: 0,
  request: 1,
  response: 2,
  data: 3,
  trailers: 4,
  window: 5,
  reset: 6,
  ping: 7,
  pong: 8,
  goaway: 9,
  table: 10,
} as const;

/** The flag of the last frame of one direction of a stream, and of the last piece of a table. */
export const FLAG_END = 1;

/** The largest stream id. */
export const MAX_STREAM_ID = 0xffff_ffff;

/** Bytes that are no frame, or a frame that must not come now. The message is one sentence for a log. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly code: CloseCode;

  constructor(code: CloseCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** What a parser hands its frames to. */
export interface FrameSink {
  /** A whole frame that is not DATA. The payload is the sink's to keep. */
  onFrame(type: number, flags: number, streamId: number, payload: Buffer): void;
  /** A part of the payload of a DATA frame, as soon as it is there. `isEnd` comes with its last part. */
  onData(streamId: number, part: Buffer, isEnd: boolean): void;
}

const NOTHING = Buffer.alloc(0);

/** Writes the header of a frame into `target` at `offset`. */
export function writeFrameHeader(
  target: Buffer,
  offset: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  target.writeUIntBE(length, offset, 3);
  target[offset + 3] = type;
  target[offset + 4] = flags;
  target.writeUInt32BE(streamId, offset + 5);
}

/** A frame with a payload that is copied into it. */
export function toFrame(type: number, flags: number, streamId: number, payload: string | Uint8Array = NOTHING): Buffer {
  const length = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length;
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + length);
  writeFrameHeader(frame, 0, length, type, flags, streamId);
  if (typeof payload === 'string') frame.write(payload, FRAME_HEADER_BYTES);
  else frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

/** A frame whose payload is one or two numbers of 32 bits. */
export function toNumberFrame(type: number, streamId: number, first: number, second?: number): Buffer {
  const length = second === undefined ? 4 : 8;
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + length);
  writeFrameHeader(frame, 0, length, type, 0, streamId);
  frame.writeUInt32BE(first, FRAME_HEADER_BYTES);
  if (second !== undefined) frame.writeUInt32BE(second, FRAME_HEADER_BYTES + 4);
  return frame;
}

/** Cuts what a socket brings into frames. Bodies are handed on as they come; everything else is put together first. */
export class FrameParser {
  readonly #sink: FrameSink;
  /** The header or the payload that is being put together. */
  #kept: Buffer = NOTHING;
  #keptBytes = 0;
  #isInPayload = false;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Of the payload, in bytes. */
  #missing = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** @throws FrameError, and whatever the sink throws; nothing may be pushed after it */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) at = this.#isInPayload ? this.#readPayload(chunk, at) : this.#readHeader(chunk, at);
  }

  #readHeader(chunk: Buffer, start: number): number {
    const end = start + FRAME_HEADER_BYTES - this.#keptBytes;
    if (this.#keptBytes === 0 && end <= chunk.length) {
      this.#begin(chunk, start);
      return end;
    }
    if (this.#keptBytes === 0) this.#kept = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
    this.#keptBytes += chunk.copy(this.#kept, this.#keptBytes, start, end);
    if (this.#keptBytes === FRAME_HEADER_BYTES) this.#begin(this.#kept, 0);
    return Math.min(end, chunk.length);
  }

  #begin(header: Buffer, at: number): void {
    this.#missing = header.readUIntBE(at, 3);
    this.#type = header[at + 3] as number;
    this.#flags = header[at + 4] as number;
    this.#streamId = header.readUInt32BE(at + 5);
    this.#keptBytes = 0;
    this.#kept = NOTHING;
    if (this.#missing > MAX_FRAME_BYTES) throw new FrameError('limit', `a frame of ${this.#missing} bytes`);
    if (this.#missing > 0) {
      this.#isInPayload = true;
      return;
    }
    const isEnd = (this.#flags & FLAG_END) !== 0;
    if (this.#type !== FRAME.data) this.#sink.onFrame(this.#type, this.#flags, this.#streamId, NOTHING);
    else if (isEnd) this.#sink.onData(this.#streamId, NOTHING, true);
    else throw new FrameError('protocol', 'a DATA frame of no bytes');
  }

  #readPayload(chunk: Buffer, start: number): number {
    const end = Math.min(start + this.#missing, chunk.length);
    const part = chunk.subarray(start, end);
    this.#missing -= part.length;
    const isWhole = this.#missing === 0;
    this.#isInPayload = !isWhole;
    if (this.#type === FRAME.data) {
      this.#sink.onData(this.#streamId, part, isWhole && (this.#flags & FLAG_END) !== 0);
    } else if (isWhole && this.#keptBytes === 0) {
      this.#sink.onFrame(this.#type, this.#flags, this.#streamId, part);
    } else {
      this.#keep(part);
      if (isWhole) this.#handOver();
    }
    return end;
  }

  #keep(part: Buffer): void {
    if (this.#keptBytes === 0) this.#kept = Buffer.allocUnsafe(part.length + this.#missing);
    this.#keptBytes += part.copy(this.#kept, this.#keptBytes);
  }

  #handOver(): void {
    const payload = this.#kept;
    this.#kept = NOTHING;
    this.#keptBytes = 0;
    this.#sink.onFrame(this.#type, this.#flags, this.#streamId, payload);
  }
}
