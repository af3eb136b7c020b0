import type { IncomingMessage, ServerResponse } from 'node:http';

import { AppError, toAppError } from '../core/errors.ts';
import { checkFields, dropHopByHop, FieldError, toTrailers } from '../tunnel/fields.ts';
import { WriteGatherer } from '../tunnel/gather-writes.ts';
import type { Fields, ResponseHead } from '../tunnel/messages.ts';
import { findBodyBytes } from './answer-body.ts';
import { dispatch, type CallHandlers, type DispatchDeps, type DispatchedCall } from './dispatch.ts';
import type { Call } from './find-ways.ts';
import { isWithoutBody, toRequestHead } from './relay-head.ts';
import type { RelayRecord } from './relay-record.ts';
import { answerError, cutVisibly, ERROR_FIELD } from './relay-answers.ts';
import { RELAY_LIMITS, type RelayLimits } from './relay-limits.ts';

const OURS_IN_ANSWERS: readonly string[] = [ERROR_FIELD.toLowerCase()];
/** RFC 9110 §8.6: it has no length. */
const OURS_WITHOUT_BODY: readonly string[] = [...OURS_IN_ANSWERS, 'content-length'];
const CONTINUE = 100;
const SWITCHING_PROTOCOLS = 101;
const EARLY_HINTS = 103;
const NO_CONTENT = 204;

/** Relays a request to an application behind a connector, and its answer back. */
export class Relay implements CallHandlers {
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #onOver: (record: RelayRecord) => void;
  readonly #limits: RelayLimits;
  readonly #startedAtMs = performance.now();
  #asked: Call | undefined;
  #call: DispatchedCall | undefined;
  #leave: (() => void) | undefined;
  #requestBytes = 0;
  #responseBytes = 0;
  /** Received and not taken by the caller's socket. */
  #heldBytes = 0;
  /** For how long nothing has moved, a part of {@link RelayLimits.readIdleMs} not counted. */
  #quietMs = 0;
  readonly #gatherer = new WriteGatherer();
  /** What the answer said of its length. */
  #expectedBytes: number | undefined;
  #isComplete = false;
  #isEndedByClosing = false;
  #uploadTimer: NodeJS.Timeout | undefined;
  #failure: AppError | undefined;

  constructor(
    req: IncomingMessage,
    res: ServerResponse,
    onOver: (record: RelayRecord) => void,
    limits: RelayLimits = RELAY_LIMITS,
  ) {
    this.#req = req;
    this.#limits = limits;
    this.#res = res;
    this.#onOver = onOver;
    req.socket.setTimeout(limits.readIdleMs);
    res.on('timeout', () => this.#onQuiet());
    res.on('drain', () => this.#release());
    res.once('close', () => this.#close());
  }

  /** Begins. A failure is answered, never thrown. */
  start(deps: DispatchDeps, toCall: () => Call | Promise<Call>, requestId: string): void {
    try {
      const call = toCall();
      if (call instanceof Promise) {
        call.then(
          (found) => this.#begin(deps, found, requestId),
          (error: unknown) => this.onFailure(toAppError(error)),
        );
      } else {
        this.#begin(deps, call, requestId);
      }
    } catch (error) {
      this.onFailure(toAppError(error));
    }
  }

  onResponse({ status, reason, fields, connectorError }: ResponseHead): void {
    if (status === SWITCHING_PROTOCOLS) {
      this.#breakOff('it switches protocols unasked');
      return;
    }
    if (status < 200) {
      this.#inform(status, fields);
      return;
    }
    const kept = dropHopByHop(fields, status === NO_CONTENT ? OURS_WITHOUT_BODY : OURS_IN_ANSWERS);
    this.#expectedBytes = findBodyBytes(this.#req.method ?? '', status, kept);
    this.#isEndedByClosing = this.#expectedBytes === undefined && this.#req.httpVersion === '1.0';
    if (connectorError !== undefined) kept.push(ERROR_FIELD, connectorError);
    // The answer was given before the request was read: the rest must not be taken for the next one.
    if (!this.#req.complete) this.#res.once('finish', () => this.#closeUnread());
    this.#res.sendDate = false;
    this.#res.writeHead(status, reason, kept);
  }

  onData(chunk: Buffer): void {
    this.#responseBytes += chunk.length;
    this.#quietMs = 0;
    if (this.#expectedBytes !== undefined && this.#responseBytes > this.#expectedBytes) {
      this.#breakOff('the body is longer than its length says');
      return;
    }
    this.#gatherer.gather(this.#res, chunk.length);
    if (this.#res.write(chunk)) {
      this.#call?.consumed(chunk.length);
    } else {
      this.#heldBytes += chunk.length;
    }
  }

  onEnd(trailers: Fields): void {
    if (this.#expectedBytes !== undefined && this.#responseBytes !== this.#expectedBytes) {
      this.#breakOff('the body is shorter than its length says');
      return;
    }
    this.#isComplete = true;
    if (trailers.length > 0) this.#res.addTrailers(toPairs(toTrailers(trailers)));
    this.#res.end();
  }

  onFailure(error: AppError): void {
    this.#failure = error;
    // Where the end of the connection is the end of the body, only a reset says that it is not whole.
    if (this.#res.headersSent && this.#isEndedByClosing) cutVisibly(this.#res.socket);
    // SECURITY: what is not whole must not look so: an answer that has begun is cut.
    answerError(this.#res, error, this.#req.complete || isWithoutBody(this.#req));
  }

  onDrain(): void {
    this.#req.resume();
    this.#uploadTimer?.refresh();
  }

  #begin(deps: DispatchDeps, call: Call, requestId: string): void {
    if (this.#res.destroyed) return;
    try {
      this.#asked = call;
      this.#leave = deps.shares.enter(call.caller.id);
      const head = toRequestHead(this.#req, call, requestId);
      const isBodyless = isWithoutBody(this.#req);
      this.#call = dispatch(deps, call, head, isBodyless, this);
      if (!isBodyless) this.#sendBody(this.#call);
    } catch (error) {
      this.onFailure(toAppError(error));
    }
  }

  #sendBody(call: DispatchedCall): void {
    // While it is paused nobody waits for the caller.
    const onSilence = (): void => {
      if (this.#req.isPaused()) this.#uploadTimer?.refresh();
      else this.#req.destroy();
    };
    const timer = setTimeout(onSilence, this.#limits.uploadIdleMs);
    this.#uploadTimer = timer;
    this.#req.on('data', (chunk: Buffer) => {
      this.#requestBytes += chunk.length;
      this.#quietMs = 0;
      timer.refresh();
      if (!call.write(chunk)) this.#req.pause();
    });
    this.#req.once('end', () => {
      clearTimeout(timer);
      this.#endBody(call);
    });
  }

  #endBody(call: DispatchedCall): void {
    const trailers = toTrailers(this.#req.rawTrailers);
    try {
      // SECURITY: the other end would close the whole connection for trailers that cannot be.
      call.end(checkFields(trailers));
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      call.cancel();
      this.onFailure(new AppError('invalid_request', { values: { detail: `the trailers ${error.message}` } }));
    }
  }

  #inform(status: number, fields: Fields): void {
    if (this.#res.headersSent) return;
    if (status === CONTINUE) this.#res.writeContinue();
    if (status !== EARLY_HINTS) return;
    const links = fields.filter((_, at) => at % 2 === 1 && fields[at - 1]?.toLowerCase() === 'link');
    try {
      if (links.length > 0) this.#res.writeEarlyHints({ link: links });
    } catch {
      // Node knows fewer forms of links than there are: a hint may be left out.
    }
  }

  #onQuiet(): void {
    this.#quietMs += this.#limits.readIdleMs;
    const isOver = this.#heldBytes > 0 || this.#isComplete || this.#quietMs >= this.#limits.idleMs;
    if (isOver) this.#res.destroy();
    else this.#req.socket.setTimeout(this.#limits.readIdleMs);
  }

  #release(): void {
    const bytes = this.#heldBytes;
    this.#heldBytes = 0;
    if (bytes > 0) this.#call?.consumed(bytes);
  }

  #breakOff(detail: string): void {
    this.#call?.cancel();
    this.onFailure(new AppError('application_failed', { detail }));
  }

  #closeUnread(): void {
    if (this.#req.complete) return;
    this.#call?.cancel();
    this.#req.socket.destroySoon();
  }

  #close(): void {
    clearTimeout(this.#uploadTimer);
    this.#leave?.();
    const isAborted = !this.#isComplete && this.#failure === undefined;
    if (isAborted) this.#call?.cancel();
    this.#onOver({
      call: this.#asked,
      connectorId: this.#call?.connectorId,
      way: this.#call?.wayLabel,
      status: this.#res.statusCode,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
      durationMs: performance.now() - this.#startedAtMs,
      isAborted,
      failure: this.#failure,
    });
  }
}

function toPairs(fields: Fields): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at < fields.length; at += 2) pairs.push([fields[at] as string, fields[at + 1] as string]);
  return pairs;
}
