import type { ClientRequest } from 'node:http';

import { toTrailers } from '../tunnel/fields.ts';
import { WriteGatherer } from '../tunnel/gather-writes.ts';
import type { Fields, TunnelStream } from '../tunnel/messages.ts';

/** What of a request's body is taken and dropped, once nobody reads it, in bytes; then the stream is cut. */
export const MAX_DROPPED_BYTES = 16_777_216;

/** The body of a request on its way from the tunnel to an application. */
export class RequestBody {
  /** What came of it, in bytes. */
  bytes = 0;
  isEnded: boolean;
  readonly #stream: TunnelStream;
  /** What it has in all, in bytes; infinite where that is not known before it ends. */
  readonly #maxBytes: number;
  readonly #onTooMuch: () => void;
  readonly #gatherer = new WriteGatherer();
  #isStopped = false;
  #unconsumedBytes = 0;
  #droppedBytes = 0;

  /** @param onTooMuch called when so much was dropped that the stream is cut */
  constructor(stream: TunnelStream, maxBytes: number, isEnded: boolean, onTooMuch: () => void = () => undefined) {
    this.#stream = stream;
    this.#maxBytes = maxBytes;
    this.isEnded = isEnded;
    this.#onTooMuch = onTooMuch;
  }

  /** Whether a part of it waits for the application. */
  get isWaiting(): boolean {
    return this.#unconsumedBytes > 0;
  }

  /** Sends a part on. @returns false where there is more than there should be, and nothing was sent */
  send(chunk: Buffer, request: ClientRequest | undefined): boolean {
    this.bytes += chunk.length;
    this.#unconsumedBytes += chunk.length;
    if (this.#isStopped || request === undefined) this.#drop(chunk.length);
    // SECURITY: what exceeds the length would be the next request on a connection that others share.
    else if (this.bytes > this.#maxBytes) return false;
    else this.#write(chunk, request);
    return true;
  }

  /** Completes the request. @returns false where the body is shorter than it should be */
  end(trailers: Fields, request: ClientRequest | undefined): boolean {
    this.isEnded = true;
    if (this.#isStopped || request === undefined) return true;
    const isChunked = this.#maxBytes === Infinity;
    if (!isChunked && this.bytes !== this.#maxBytes) return false;
    const kept = isChunked ? toTrailers(trailers) : [];
    if (kept.length > 0) request.addTrailers(toPairs(kept));
    request.end();
    return true;
  }

  /** Sends nothing more: what still comes is taken and dropped, so that whoever sends it comes to an end. */
  stop(): void {
    this.#isStopped = true;
    this.consume();
  }

  /** Tells the tunnel that what it sent has been taken. */
  consume(): void {
    const bytes = this.#unconsumedBytes;
    this.#unconsumedBytes = 0;
    if (bytes > 0) this.#stream.consumed(bytes);
  }

  #write(chunk: Buffer, request: ClientRequest): void {
    this.#gatherer.gather(request, chunk.length);
    if (request.write(chunk)) this.consume();
  }

  #drop(bytes: number): void {
    this.#droppedBytes += bytes;
    if (this.#droppedBytes <= MAX_DROPPED_BYTES) {
      this.consume();
      return;
    }
    this.#stream.reset('limit');
    this.#onTooMuch();
  }
}

function toPairs(fields: Fields): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) pairs.push([fields[at] ?? '', fields[at + 1] ?? '']);
  return pairs;
}
