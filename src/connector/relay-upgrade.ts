import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

import { dropHopByHop } from '../tunnel/fields.ts';
import type { ResponseHead, TunnelStream } from '../tunnel/messages.ts';
import { toResponseHead } from './relay-answer.ts';

export const SWITCHING_PROTOCOLS = 101;
/** How long an upgraded connection may be silent both ways, in milliseconds. */
export const UPGRADED_IDLE_MS = 3_600_000;

/** How raw bytes went. */
export interface RawEnd {
  /** Whether both directions came to their end. */
  readonly isWhole: boolean;
  readonly detail?: string;
}

/**
 * The head of a 101, where it switches to what was asked for.
 * SECURITY: another protocol could carry requests that nobody checks.
 */
export function toUpgradeHead(response: IncomingMessage, asked: string | undefined): ResponseHead | undefined {
  const { headers, rawHeaders, statusMessage = '' } = response;
  if (asked === undefined || headers.upgrade?.toLowerCase() !== asked.toLowerCase()) return undefined;
  return toResponseHead(SWITCHING_PROTOCOLS, statusMessage, dropHopByHop(rawHeaders));
}

/** The bytes of an upgraded connection, both ways, each direction ending by itself. */
export class RawRelay {
  /** From the application, in bytes. */
  sentBytes = 0;
  /** From the caller, in bytes. */
  receivedBytes = 0;
  readonly #stream: TunnelStream;
  readonly #socket: Duplex;
  readonly #onOver: (end: RawEnd) => void;
  readonly #timer: NodeJS.Timeout;
  #unconsumedBytes = 0;
  #hasEnded = false;
  #isOver = false;

  /** @param head what the application sent behind its 101 */
  constructor(
    stream: TunnelStream,
    socket: Duplex & { allowHalfOpen: boolean },
    head: Buffer,
    onOver: (end: RawEnd) => void,
  ) {
    this.#stream = stream;
    this.#socket = socket;
    this.#onOver = onOver;
    this.#timer = setTimeout(() => this.#cut('silent for too long'), UPGRADED_IDLE_MS);
    // The pool's sockets close as a whole; this one's directions end one by one.
    Object.assign(socket, { allowHalfOpen: true });
    if (head.length > 0) this.#send(head);
    socket.on('data', (chunk: Buffer) => this.#send(chunk));
    socket.on('drain', () => this.#consume());
    socket.on('end', () => {
      this.#hasEnded = true;
      stream.end();
      this.#finishIfWhole();
    });
    socket.on('finish', () => this.#finishIfWhole());
    socket.on('error', (error) => this.#cut(error.message));
    socket.on('close', () => {
      this.#finishIfWhole();
      this.#cut('the application closed the connection');
    });
    // A socket that was handed over may stand still.
    socket.resume();
  }

  onData(chunk: Buffer): void {
    this.#timer.refresh();
    this.receivedBytes += chunk.length;
    this.#unconsumedBytes += chunk.length;
    if (this.#isOver || this.#socket.write(chunk)) this.#consume();
  }

  onEnd(): void {
    this.#socket.end();
  }

  onDrain(): void {
    this.#socket.resume();
  }

  /** Ends it without a word. */
  destroy(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#socket.destroy();
  }

  #send(chunk: Buffer): void {
    this.#timer.refresh();
    this.sentBytes += chunk.length;
    if (!this.#stream.write(chunk)) this.#socket.pause();
  }

  #consume(): void {
    const bytes = this.#unconsumedBytes;
    this.#unconsumedBytes = 0;
    this.#stream.consumed(bytes);
  }

  #finishIfWhole(): void {
    if (!this.#hasEnded || !this.#socket.writableFinished || this.#isOver) return;
    this.destroy();
    this.#onOver({ isWhole: true });
  }

  #cut(detail: string): void {
    if (this.#isOver) return;
    this.destroy();
    this.#stream.reset('backend_failed');
    this.#onOver({ isWhole: false, detail });
  }
}
