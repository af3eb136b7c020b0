import type { ClientRequest, IncomingMessage, InformationEvent } from 'node:http';
import type { Socket } from 'node:net';

import type { ErrorCode } from '../core/errors.ts';
import type { ResetCode } from '../tunnel/codes.ts';
import { dropHopByHop, isIdempotent, toTrailers } from '../tunnel/fields.ts';
import type { Fields, StreamHandlers, TunnelStream } from '../tunnel/messages.ts';
import { ConnectTimeout } from './backend.ts';
import type { Errand } from './errand.ts';
import { answerError, areTellable, toFailure, toFinalHead, toResponseHead } from './relay-answer.ts';
import { type ExchangeListener, listenToRequest, listenToResponse, MAX_INFORMATIONAL } from './relay-events.ts';
import { RawRelay, SWITCHING_PROTOCOLS, toUpgradeHead } from './relay-upgrade.ts';
import { MAX_PAUSE_MS, Pause } from './pause.ts';
import { RequestBody } from './request-body.ts';
import { type OnOver, toResetCode, toResetVerdict, toVerdict, type Verdict } from './request-record.ts';

/** One request, streamed both ways. `on…` is called for what the tunnel brings, `take…` for the application and the clock. */
export class Exchange implements StreamHandlers, ExchangeListener {
  readonly #stream: TunnelStream;
  readonly #errand: Errand;
  readonly #onOver: OnOver;
  readonly #pause: Pause;
  readonly #body: RequestBody;
  readonly #timer: NodeJS.Timeout;
  #request: ClientRequest | undefined;
  #response: IncomingMessage | undefined;
  #raw: RawRelay | undefined;
  /** What the caller was answered, 0 before. */
  #status = 0;
  #responseBytes = 0;
  #informational = 0;
  #isAnswered = false;
  #hasRetried = false;
  #isReported = false;
  /** Nothing more is expected of the application. */
  #isDone = false;

  constructor(stream: TunnelStream, errand: Errand, isLast: boolean, onOver: OnOver, maxPauseMs = MAX_PAUSE_MS) {
    this.#stream = stream;
    this.#errand = errand;
    this.#onOver = onOver;
    this.#body = new RequestBody(stream, errand.bodyBytes, isLast, () => this.onReset('limit'));
    this.#timer = setTimeout(() => this.takeTimeout(), errand.backend.timeoutMs);
    this.#pause = new Pause(maxPauseMs, () => {
      stream.reset('cancelled');
      this.onReset('cancelled', 'the caller took nothing for too long');
    });
    this.#send();
  }

  onData(chunk: Buffer): void {
    this.#timer.refresh();
    if (this.#raw !== undefined) this.#raw.onData(chunk);
    else if (!this.#body.send(chunk, this.#request)) this.#failBody('longer');
  }

  onEnd(trailers: Fields): void {
    this.#timer.refresh();
    if (this.#raw !== undefined) {
      this.#body.isEnded = true;
      this.#raw.onEnd();
    } else if (!this.#body.end(trailers, this.#request)) {
      this.#failBody('shorter');
    }
    this.#settle();
  }

  onReset(code: ResetCode, detail = `the stream was cut: ${code}`): void {
    this.#isDone = true;
    this.#body.stop();
    this.#raw?.destroy();
    this.#request?.destroy();
    this.#report(toResetVerdict(code), detail);
  }

  onDrain(): void {
    this.#pause.end();
    this.#timer.refresh();
    if (this.#raw !== undefined) this.#raw.onDrain();
    else this.#response?.resume();
  }

  takeResponse(response: IncomingMessage): void {
    if (this.#isDone) return;
    const head = toFinalHead(response);
    if (head === undefined) {
      this.#fail(
        'application_failed',
        new Error(`the head of the answer cannot be told (status ${response.statusCode})`),
      );
      return;
    }
    this.#timer.refresh();
    this.#response = response;
    this.#status = head.status;
    this.#isAnswered = this.#errand.method === 'HEAD' || head.status === 204 || head.status === 304;
    this.#stream.respond(head, this.#isAnswered);
    if (!this.#isAnswered) this.#errand.backend.resets.watch(response);
    listenToResponse(response, this);
  }

  takeInformation({ statusCode, statusMessage, rawHeaders }: InformationEvent): void {
    if (this.#isDone) return;
    this.#timer.refresh();
    const head = toResponseHead(statusCode, statusMessage, dropHopByHop(rawHeaders));
    if (head !== undefined && ++this.#informational <= MAX_INFORMATIONAL) this.#stream.respond(head);
    else this.#fail('application_failed', new Error('informational answers without end'));
  }

  takeUpgrade(response: IncomingMessage, socket: Socket, head: Buffer): void {
    const answer = toUpgradeHead(response, this.#errand.upgrade);
    if (this.#isDone || answer === undefined) {
      socket.destroy();
      this.#fail('application_failed', new Error('an upgrade that was not asked for'));
      return;
    }
    clearTimeout(this.#timer);
    this.#status = SWITCHING_PROTOCOLS;
    this.#stream.respond(answer);
    this.#raw = new RawRelay(this.#stream, socket, head, ({ isWhole, detail }) => {
      this.#isDone = true;
      this.#report(isWhole ? 'allowed' : 'failed', detail);
    });
    if (this.#body.isEnded) this.#raw.onEnd();
  }

  takeError(request: ClientRequest, error: Error): void {
    if (this.#isDone || this.#raw !== undefined || request !== this.#request) return;
    const { backend } = this.#errand;
    if (this.#response !== undefined) {
      this.#body.stop();
      // SECURITY: Node calls an answer without a length complete, though its connection was reset.
      if (!this.#response.complete) this.#fail('application_failed', error);
    } else if (this.#mayRetry(request)) {
      this.#hasRetried = true;
      backend.dropIdle();
      this.#send();
    } else {
      const isUnreachable = error instanceof ConnectTimeout || !backend.isConnected(request);
      this.#fail(isUnreachable ? 'application_unreachable' : 'application_failed', error);
    }
  }

  takeClose(request: ClientRequest): void {
    // What there is of the answer may still be unread; it says itself whether it is whole.
    if (this.#response !== undefined) this.#body.stop();
    else this.takeError(request, new Error('the application closed the connection'));
  }

  takeDrain(): void {
    this.#timer.refresh();
    this.#body.consume();
  }

  takeBody(chunk: Buffer): void {
    if (this.#isDone || this.#isAnswered) return;
    this.#timer.refresh();
    this.#responseBytes += chunk.length;
    if (!this.#stream.write(chunk)) this.#pause.begin(this.#response);
  }

  takeBodyEnd(): void {
    const response = this.#response;
    if (this.#isDone || response === undefined) return;
    if (!this.#isAnswered) {
      const trailers = toTrailers(response.rawTrailers);
      // SECURITY: a body that was cut must never look whole.
      if (!response.complete || this.#errand.backend.resets.isCut(response) || !areTellable(trailers)) {
        this.#fail('application_failed', new Error('the answer was cut'));
        return;
      }
      this.#isAnswered = true;
      this.#stream.end(trailers);
    }
    this.#settle();
  }

  takeBodyError(error: Error): void {
    if (!this.#isAnswered) this.#fail('application_failed', error);
    else this.#settle();
  }

  takeTimeout(): void {
    if (this.#isDone) return;
    const awaitsCaller = !this.#body.isEnded && !this.#body.isWaiting && this.#status === 0;
    // How long a caller may take is for the gateway to say.
    if (this.#pause.isOn || awaitsCaller || this.#isAnswered) this.#timer.refresh();
    else this.#fail('application_timeout', new Error('nothing came in time'));
  }

  #send(): void {
    const { method, target, fields, upgrade, backend } = this.#errand;
    const hasBody = !this.#body.isEnded && upgrade === undefined;
    let request: ClientRequest;
    try {
      request = backend.send(method, target, fields);
    } catch (error) {
      this.#fail('invalid_request', error as Error);
      return;
    }
    this.#request = request;
    listenToRequest(request, this, hasBody);
    // The application may have to answer before the body comes.
    if (hasBody) request.flushHeaders();
    else request.end();
  }

  #failBody(comparison: string): void {
    this.#fail('invalid_request', new Error(`the body is ${comparison} than it said`));
  }

  #mayRetry(request: ClientRequest): boolean {
    const { method, backend } = this.#errand;
    const isRepeatable = this.#body.isEnded && this.#body.bytes === 0 && isIdempotent(method);
    return isRepeatable && !this.#hasRetried && this.#informational === 0 && backend.isUntouched(request);
  }

  /** Ends the exchange: with an answer where none was begun, else by cutting the stream. */
  #fail(code: ErrorCode, error: Error): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#request?.destroy();
    if (this.#status === 0) {
      const { name, method } = this.#errand;
      this.#status = answerError(this.#stream, toFailure(code, error, name), method === 'HEAD');
    } else {
      this.#stream.reset(toResetCode(code));
    }
    this.#body.stop();
    this.#report(toVerdict(code), error.message);
  }

  #settle(): void {
    if (this.#body.isEnded && this.#isAnswered) this.#report('allowed');
  }

  #report(verdict: Verdict, detail?: string): void {
    if (this.#isReported) return;
    this.#isReported = true;
    clearTimeout(this.#timer);
    this.#pause.end();
    this.#onOver({
      verdict,
      status: this.#status,
      requestBytes: this.#body.bytes + (this.#raw?.receivedBytes ?? 0),
      responseBytes: this.#responseBytes + (this.#raw?.sentBytes ?? 0),
      ...(detail !== undefined && { detail }),
    });
  }
}
