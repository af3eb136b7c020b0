import { finished, Readable } from 'node:stream';

import { AppError, toAppError } from '../core/errors.ts';
import { dropHopByHop } from '../tunnel/fields.ts';
import type { ResponseHead } from '../tunnel/messages.ts';
import { findBodyBytes } from './answer-body.ts';
import { type CallHandlers, dispatch, type DispatchDeps, type DispatchedCall } from './dispatch.ts';
import { listUsableConnectors } from './find-ways.ts';
import { ERROR_FIELD } from './relay-answers.ts';
import type { ServiceAnswer } from './service-calls/exchange.ts';
import type { ConnectorCall } from './service-calls/service-calls.ts';
import type { Caller } from './connector.ts';

const SWITCHING_PROTOCOLS = 101;

/** What service calls need of the tunnel. */
export interface ConnectorCaller {
  /** Whether a connector is enabled that the caller may use. */
  hasConnector(caller: Caller): Promise<boolean>;
  /**
   * Calls an application behind a connector. The body of the answer fails when it ends early.
   * @throws AppError `application_…`, `path_forbidden`, `connector_…`, `invalid_request`
   */
  callConnector(call: ConnectorCall): Promise<ServiceAnswer>;
}

export function createConnectorCaller(ways: DispatchDeps): ConnectorCaller {
  return {
    hasConnector: async (caller) => {
      if (listUsableConnectors(ways, caller).length === 0) await ways.directory.refreshOnMiss();
      return listUsableConnectors(ways, caller).length > 0;
    },
    callConnector: (call) => new Promise((resolve, reject) => new OneCall(ways, call, resolve, reject).start()),
  };
}

/** One call: the answer's head settles the promise, its body is a stream of its own. */
class OneCall implements CallHandlers {
  readonly #ways: DispatchDeps;
  readonly #call: ConnectorCall;
  readonly #resolve: (answer: ServiceAnswer) => void;
  readonly #reject: (error: AppError) => void;
  readonly #body: Readable;
  #sent: DispatchedCall | undefined;
  #heldBytes = 0;
  #answerBytes = 0;
  /** What the answer said of its length. */
  #expectedBytes: number | undefined;

  constructor(
    ways: DispatchDeps,
    call: ConnectorCall,
    resolve: (answer: ServiceAnswer) => void,
    reject: (error: AppError) => void,
  ) {
    this.#ways = ways;
    this.#call = call;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#body = new Readable({
      read: () => this.#release(),
      destroy: (error, done) => {
        this.#sent?.cancel();
        done(error);
      },
    });
    // Its owner may not have it yet.
    this.#body.on('error', () => undefined);
  }

  start(): void {
    const { caller, connectorId, host, port, method, target, fields, body, requestId, signal } = this.#call;
    // What has no reader must not be begun: it may be a payment.
    if (signal.aborted) {
      this.onFailure(toAppError(signal.reason));
      return;
    }
    try {
      this.#body.once('close', this.#ways.shares.enter(caller.id));
    } catch (error) {
      this.onFailure(toAppError(error));
      return;
    }
    const head = { to: { host, port }, method, target, fields: [...fields], ...(requestId && { requestId }) };
    signal.addEventListener('abort', () => this.onFailure(toAppError(signal.reason)), { once: true });
    this.#sent = dispatch(
      this.#ways,
      { caller, connectorId, host, port, method, target },
      head,
      body === undefined,
      this,
    );
    if (body !== undefined) this.#send(body, this.#sent);
  }

  onResponse({ status, fields, connectorError }: ResponseHead): void {
    if (status === SWITCHING_PROTOCOLS) {
      this.#breakOff('it switches protocols unasked');
      return;
    }
    if (status < 200) return;
    const kept = dropHopByHop(fields, [ERROR_FIELD.toLowerCase()]);
    this.#expectedBytes = findBodyBytes(this.#call.method, status, kept);
    const all = connectorError === undefined ? kept : [...kept, ERROR_FIELD, connectorError];
    this.#resolve({ status, fields: all, body: this.#body });
  }

  onData(chunk: Buffer): void {
    this.#answerBytes += chunk.length;
    // SECURITY: what is beyond the length would be read as another answer, of whatever the agent likes.
    if (this.#expectedBytes !== undefined && this.#answerBytes > this.#expectedBytes) {
      this.#breakOff('the body is longer than its length says');
      return;
    }
    this.#heldBytes += chunk.length;
    if (this.#body.push(chunk)) this.#release();
  }

  onEnd(): void {
    if (this.#expectedBytes !== undefined && this.#answerBytes !== this.#expectedBytes) {
      this.#breakOff('the body is shorter than its length says');
      return;
    }
    this.#body.push(null);
  }

  onFailure(error: AppError): void {
    this.#reject(error);
    this.#body.destroy(error);
  }

  onDrain(): void {
    const { body } = this.#call;
    if (body instanceof Readable) body.resume();
  }

  #release(): void {
    const bytes = this.#heldBytes;
    this.#heldBytes = 0;
    if (bytes > 0) this.#sent?.consumed(bytes);
  }

  #breakOff(detail: string): void {
    this.#sent?.cancel();
    this.onFailure(new AppError('application_failed', { detail }));
  }

  #send(body: Readable | Buffer, sent: DispatchedCall): void {
    if (Buffer.isBuffer(body)) {
      sent.write(body);
      sent.end([]);
      return;
    }
    // Not `for await`: to leave it would destroy the caller's connection, the answer unsent.
    body.on('data', (chunk: Buffer) => {
      if (!sent.write(chunk)) body.pause();
    });
    finished(body, { writable: false }, (cause) => {
      if (!cause) {
        sent.end([]);
        return;
      }
      sent.cancel();
      this.onFailure(new AppError('service_failed', { values: { detail: 'the request broke off' }, cause }));
    });
  }
}
