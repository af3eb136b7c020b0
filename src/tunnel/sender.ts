import type { Duplex } from 'node:stream';

import { MAX_CONTROL_QUEUE_BYTES, SEND_AHEAD_BYTES } from './limits.ts';
import type { Stream } from './stream.ts';

/** What goes to a socket: control frames first, then one frame of each stream in turn, in one write per turn of the event loop. */
export class Sender {
  readonly #socket: Duplex;
  readonly #onOverflow: () => void;
  /** What the next write begins with: frames that had their turn. */
  #batch: Buffer[] = [];
  #control: Buffer[] = [];
  #controlBytes = 0;
  #ready: Stream[] = [];
  #isScheduled = false;
  #isClosed = false;

  constructor(socket: Duplex, onOverflow: () => void) {
    this.#socket = socket;
    this.#onOverflow = onOverflow;
    socket.on('drain', () => this.flush());
  }

  sendControl(frame: Buffer): void {
    if (this.#isClosed) return;
    this.#control.push(frame);
    this.#controlBytes += frame.length;
    // SECURITY: whoever asks without reading the answers must not fill our memory with them.
    if (this.#controlBytes + this.#socket.writableLength > MAX_CONTROL_QUEUE_BYTES) this.#onOverflow();
    else this.#schedule();
  }

  sendFrom(stream: Stream): void {
    if (stream.isQueued || this.#isClosed) return;
    stream.isQueued = true;
    this.#ready.push(stream);
    this.#schedule();
  }

  /** Whether so much waits for the other end to read that nothing new should begin. */
  get isBacklogged(): boolean {
    return this.#controlBytes + this.#socket.writableLength > MAX_CONTROL_QUEUE_BYTES / 2;
  }

  /** Writes what there is; nothing is taken any more. It may come from within a turn, whose frames go first. */
  close(): void {
    if (this.#isClosed) return;
    this.#ready = [];
    this.#batch = [...this.#batch, ...this.#takeControl()];
    this.#isClosed = true;
    this.#write();
  }

  flush(): void {
    if (this.#isClosed) return;
    let room = SEND_AHEAD_BYTES - this.#socket.writableLength - this.#controlBytes;
    this.#batch = this.#takeControl();
    while (room > 0 && this.#ready.length > 0) room -= this.#takeTurns(room);
    this.#write();
  }

  #takeControl(): Buffer[] {
    const control = this.#control;
    this.#control = [];
    this.#controlBytes = 0;
    return control;
  }

  #write(): void {
    const batch = this.#batch;
    this.#batch = [];
    if (batch.length === 0) return;
    this.#socket.write(batch.length === 1 ? (batch[0] as Buffer) : Buffer.concat(batch));
  }

  /** One frame of each stream that is ready, as far as there is room. @returns their bytes */
  #takeTurns(room: number): number {
    const streams = this.#ready;
    this.#ready = [];
    let bytes = 0;
    for (const [at, stream] of streams.entries()) {
      if (bytes >= room) {
        this.#ready.unshift(...streams.slice(at));
        break;
      }
      stream.isQueued = false;
      if (!stream.isReady) continue;
      bytes += stream.takeTurn(this.#batch);
      if (stream.isReady) this.sendFrom(stream);
    }
    return bytes;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Once per turn of the event loop: what several sockets brought in it leaves in one write.
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#socket.writableNeedDrain || this.#controlBytes > 0) this.flush();
    });
  }
}
