import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

import { type AppError, toAppError } from '../core/errors.ts';
import { dropHopByHop } from '../tunnel/fields.ts';
import type { Fields, ResponseHead } from '../tunnel/messages.ts';
import { dispatch, type CallHandlers, type DispatchDeps, type DispatchedCall } from './dispatch.ts';
import type { Call } from './find-ways.ts';
import { leaveSocket } from './leave-socket.ts';
import { cutVisibly, ERROR_FIELD, toErrorAnswer } from './relay-answers.ts';
import { toRequestHead } from './relay-head.ts';
import type { RelayRecord } from './relay-record.ts';

const SWITCHING_PROTOCOLS = 101;
const OURS_IN_ANSWERS: readonly string[] = [ERROR_FIELD.toLowerCase()];
const OURS_IN_SWITCHES: readonly string[] = [...OURS_IN_ANSWERS, 'content-length'];

/** What a caller's upgrade may have behind it before it is answered, in bytes; the rest waits in its socket. */
export const MAX_EARLY_BYTES = 65_536;

/** A request to upgrade, as Node hands it over: nobody else writes to its socket. */
export interface UpgradeRequest {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  /** What came behind the request. */
  readonly head: Buffer;
}

/** Relays an upgrade to a web socket: the answer, then bytes both ways until both ends are done. */
export class UpgradeRelay implements CallHandlers {
  readonly #given: UpgradeRequest;
  readonly #onOver: (record: RelayRecord) => void;
  readonly #startedAtMs = performance.now();
  #asked: Call | undefined;
  #call: DispatchedCall | undefined;
  #leave: (() => void) | undefined;
  #status = 0;
  #requestBytes = 0;
  #responseBytes = 0;
  #heldBytes = 0;
  /** What came before the answer. */
  #early: Buffer[];
  #earlyBytes: number;
  #isSwitched = false;
  #isComplete = false;
  #failure: AppError | undefined;

  constructor(given: UpgradeRequest, onOver: (record: RelayRecord) => void) {
    this.#given = given;
    this.#onOver = onOver;
    const { socket, head } = given;
    this.#early = [head];
    this.#earlyBytes = head.length;
    socket.on('error', () => undefined);
    socket.on('drain', () => this.#release());
    socket.once('close', () => this.#close());
    // From the beginning: of a socket that nobody reads nobody hears that its other end has left.
    socket.on('data', (chunk: Buffer) => this.#takeData(chunk));
    socket.once('end', () => this.#takeEnd());
  }

  /** Begins. A failure is answered, never thrown. */
  start(deps: DispatchDeps, toCall: () => Call | Promise<Call>, requestId: string): void {
    void this.#begin(deps, toCall, requestId);
  }

  onResponse({ status, reason, fields, connectorError }: ResponseHead): void {
    if (status < 200 && status !== SWITCHING_PROTOCOLS) return;
    this.#status = status;
    this.#isSwitched = status === SWITCHING_PROTOCOLS;
    const kept = [...dropHopByHop(fields, this.#isSwitched ? OURS_IN_SWITCHES : OURS_IN_ANSWERS)];
    if (connectorError !== undefined) kept.push(ERROR_FIELD, connectorError);
    // Behind another answer than 101 nothing more can be asked: the end of the connection is the end of its body.
    const connection = this.#isSwitched ? ['Connection', 'Upgrade', 'Upgrade', 'websocket'] : ['Connection', 'close'];
    this.#given.socket.write(toHead(status, reason, [...kept, ...connection]), 'latin1');
    if (this.#isSwitched) this.#openCaller();
    else this.#forgetCaller();
  }

  onData(chunk: Buffer): void {
    this.#responseBytes += chunk.length;
    if (this.#given.socket.write(chunk)) this.#call?.consumed(chunk.length);
    else this.#heldBytes += chunk.length;
  }

  onEnd(): void {
    this.#isComplete = true;
    if (this.#isSwitched) this.#given.socket.end();
    else leaveSocket(this.#given.socket);
  }

  onFailure(error: AppError): void {
    this.#failure = error;
    const { socket } = this.#given;
    if (this.#status > 0) {
      // The end of the connection is the end of the body: only a reset says that it is not whole.
      cutVisibly(socket);
      return;
    }
    const { status, fields, body } = toErrorAnswer(error);
    this.#status = status;
    this.#early = [];
    leaveSocket(socket, toHead(status, STATUS_CODES[status] ?? '', [...fields, 'Connection', 'close']) + body);
  }

  onDrain(): void {
    this.#given.socket.resume();
  }

  async #begin(deps: DispatchDeps, toCall: () => Call | Promise<Call>, requestId: string): Promise<void> {
    try {
      const call = await toCall();
      if (this.#given.socket.destroyed) return;
      this.#asked = call;
      this.#leave = deps.shares.enter(call.caller.id);
      this.#call = dispatch(deps, call, toRequestHead(this.#given.req, call, requestId), false, this);
    } catch (error) {
      this.onFailure(toAppError(error));
    }
  }

  #takeData(chunk: Buffer): void {
    if (this.#isSwitched) this.#send(chunk);
    else if (this.#status === 0) this.#keepEarly(chunk);
    // Behind another answer nothing is read any more.
  }

  #takeEnd(): void {
    if (this.#isSwitched) this.#call?.end([]);
    // Node's server takes the end of a caller who waits for an answer for his leave, too.
    else if (!this.#isComplete && this.#failure === undefined) this.#given.socket.destroy();
  }

  #keepEarly(chunk: Buffer): void {
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes >= MAX_EARLY_BYTES) this.#given.socket.pause();
  }

  #openCaller(): void {
    const early = this.#early;
    this.#early = [];
    this.#given.socket.resume();
    for (const chunk of early) if (chunk.length > 0) this.#send(chunk);
  }

  #forgetCaller(): void {
    this.#early = [];
    this.#given.socket.resume();
    this.#call?.end([]);
  }

  #send(chunk: Buffer): void {
    this.#requestBytes += chunk.length;
    if (this.#call?.write(chunk) === false) this.#given.socket.pause();
  }

  #release(): void {
    const bytes = this.#heldBytes;
    this.#heldBytes = 0;
    if (bytes > 0) this.#call?.consumed(bytes);
  }

  #close(): void {
    const isAborted = !this.#isComplete && this.#failure === undefined;
    this.#call?.cancel();
    this.#leave?.();
    this.#onOver({
      call: this.#asked,
      connectorId: this.#call?.connectorId,
      way: this.#call?.wayLabel,
      status: this.#status,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
      durationMs: performance.now() - this.#startedAtMs,
      isAborted,
      failure: this.#failure,
    });
  }
}

/** As bytes of Latin-1, which is what the fields are made of. */
function toHead(status: number, reason: string, fields: Fields): string {
  let text = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let at = 0; at < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`;
  return `${text}\r\n`;
}
