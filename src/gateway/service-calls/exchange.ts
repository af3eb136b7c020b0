import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { PassThrough, pipeline, type Readable } from 'node:stream';

import { AppError } from '../../core/errors.ts';
import { isPlainlyCoded } from '../../tunnel/fields.ts';
import type { Fields } from '../../tunnel/messages.ts';
import { createResets, isEndedByClosing, type Resets } from '../../tunnel/resets.ts';
import type { ServiceConnection } from './connect.ts';
import { toExchangeError } from './failures.ts';
import { MAX_ANSWER_HEADER_BYTES } from './limits.ts';
import type { ServiceUrl } from './service-url.ts';

/** The body of a call: bytes that are there and may be sent again, or a stream that is read once. */
export type CallBody = Buffer | { readonly stream: Readable; readonly length: number | undefined };

/** One request to one service. */
export interface ServiceRequest {
  readonly method: string;
  readonly url: ServiceUrl;
  /** Without those of a connection. */
  readonly fields: Fields;
  readonly body: CallBody | undefined;
}

/** What a service answered. Its body fails where it ends early. */
export interface ServiceAnswer {
  readonly status: number;
  readonly fields: Fields;
  readonly body: Readable;
}

/** How long to wait, in milliseconds. */
export interface ExchangeLimits {
  readonly answerMs: number;
  readonly idleMs: number;
}

/**
 * Sends one request over a connection that is used for nothing else, and closes it with the end of the answer.
 * @throws AppError `service_failed`, `service_timeout`, `service_certificate_missing`, `service_certificate_refused`
 */
export async function exchange(
  { socket, progress }: ServiceConnection,
  call: ServiceRequest,
  limits: ExchangeLimits,
  cut: AbortController,
): Promise<ServiceAnswer> {
  if (socket.destroyed) throw toExchangeError(socket.errored, progress);
  const resets = createResets();
  const giveUp = (detail: string) => (): void => cut.abort(new AppError('service_timeout', { detail }));
  socket.setTimeout(limits.idleMs, giveUp('nothing moved'));
  const sent = request({
    createConnection: () => socket,
    method: call.method,
    path: call.url.target,
    headers: toHead(call),
    setHost: false,
    maxHeaderSize: MAX_ANSWER_HEADER_BYTES,
    signal: cut.signal,
  });
  let timer: NodeJS.Timeout | undefined;
  sent.once('finish', () => {
    timer = setTimeout(giveUp('the answer did not begin'), limits.answerMs);
  });
  try {
    const answered = once(sent, 'response', { signal: cut.signal }) as Promise<[IncomingMessage]>;
    sendBody(sent, call.body, cut);
    const [response] = await answered;
    // What goes wrong with a body that the service did not wait for; a broken answer fails by itself.
    sent.on('error', () => undefined);
    // SECURITY: of a further coding the caller would not learn.
    if (!isPlainlyCoded(response.rawHeaders))
      throw new AppError('service_failed', {
        values: { detail: 'its answer has a transfer coding other than "chunked"' },
      });
    return { status: response.statusCode ?? 0, fields: response.rawHeaders, body: toWholeBody(response, resets) };
  } catch (error) {
    sent.on('error', () => undefined).destroy();
    socket.destroy();
    if (cut.signal.aborted) throw cut.signal.reason;
    throw error instanceof AppError ? error : toExchangeError(error, progress);
  } finally {
    clearTimeout(timer);
  }
}

/** The body of an answer, which fails where its connection was reset rather than closed. */
function toWholeBody(response: IncomingMessage, resets: Resets): Readable {
  if (!isEndedByClosing(response)) return response;
  resets.watch(response);
  const whole = new PassThrough({
    flush: (done) => done(resets.isCut(response) ? new Error('the answer was cut') : null),
  });
  return pipeline(response, whole, () => undefined);
}

/** The fields, and the two that say where the message is for and where it ends. */
function toHead({ url, fields, body, method }: ServiceRequest): string[] {
  const head = ['Host', url.authority, ...fields];
  const length = Buffer.isBuffer(body) ? body.length : body?.length;
  // SECURITY: always said, so that a body is never taken for the next request.
  if (body !== undefined && length === undefined) return [...head, 'Transfer-Encoding', 'chunked'];
  const isBodyUsual = ['POST', 'PUT', 'PATCH'].includes(method);
  return length === undefined && !isBodyUsual ? head : [...head, 'Content-Length', String(length ?? 0)];
}

function sendBody(sent: ClientRequest, body: CallBody | undefined, cut: AbortController): void {
  if (body === undefined || Buffer.isBuffer(body)) {
    sent.end(body);
    return;
  }
  const { stream } = body;
  // Not `pipeline`: it would destroy the caller's connection with a service that answers before it has read all.
  stream
    .on('error', () => undefined)
    .once('close', () => {
      // SECURITY: a body that ended early must not reach its service as if it were whole.
      if (!stream.readableEnded) cut.abort(new AppError('malformed_body', { values: { detail: 'it ended early' } }));
    });
  stream.pipe(sent);
}
