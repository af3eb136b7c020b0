import { type IncomingMessage, STATUS_CODES } from 'node:http';

import { AppError, type ErrorCode, ERRORS, toPublicMessage } from '../core/errors.ts';
import { checkFields, dropHopByHop, FieldError, isPlainlyCoded } from '../tunnel/fields.ts';
import { MAX_HEAD_BYTES } from '../tunnel/limits.ts';
import type { Fields, ResponseHead, TunnelStream } from '../tunnel/messages.ts';

const NO_CONTENT = 204;
/** A reason as the other end of the tunnel accepts it. */
const TEXT = /^[\t\x20-\x7e\x80-\xff]*$/;
const MAX_REASON_LENGTH = 200;
/** Below it a head cannot exceed {@link MAX_HEAD_BYTES}, however its characters are escaped. */
const SURELY_FITS_LENGTH = MAX_HEAD_BYTES / 4;
/** Quotes and commas around one text of JSON, in characters. */
const FIELD_OVERHEAD = 3;
/** What stands in a head beside its fields, in bytes, the longest reason included. */
const HEAD_OVERHEAD = 1_024;

/**
 * The head of an application's answer, as the tunnel takes it.
 * SECURITY: the other end closes the whole connection on a head that it cannot read; one application must not do that to
 * all others.
 *
 * @returns undefined where it cannot be told
 */
export function toResponseHead(status: number, reason: string, fields: Fields): ResponseHead | undefined {
  if (!(status >= 100 && status <= 599) || !areTellable(fields)) return undefined;
  const isTold = reason.length <= MAX_REASON_LENGTH && TEXT.test(reason);
  return { status, reason: isTold ? reason : '', fields };
}

/**
 * The head of an application's final answer.
 * @returns undefined where it cannot be told, or its body has a transfer coding of which the caller would not learn
 */
export function toFinalHead(answer: IncomingMessage): ResponseHead | undefined {
  const { statusCode = 0, statusMessage = '', rawHeaders } = answer;
  if (statusCode < 200 || !isPlainlyCoded(rawHeaders)) return undefined;
  // The length of what is not there (RFC 9110 §8.6).
  const fields = dropHopByHop(rawHeaders, statusCode === NO_CONTENT ? ['content-length'] : []);
  return toResponseHead(statusCode, statusMessage, fields);
}

/** Whether header fields or trailers fit into the tunnel, by form, number and size. */
export function areTellable(fields: Fields): boolean {
  try {
    checkFields(fields);
  } catch (error) {
    if (error instanceof FieldError) return false;
    throw error;
  }
  let length = 0;
  for (const text of fields) length += text.length + FIELD_OVERHEAD;
  return length < SURELY_FITS_LENGTH || Buffer.byteLength(JSON.stringify(fields)) < MAX_HEAD_BYTES - HEAD_OVERHEAD;
}

/** A failure with what its sentence needs: the application's name, or what is wrong with the request. */
export function toFailure(code: ErrorCode, cause: Error, name: string): AppError {
  return new AppError(code, { values: code === 'invalid_request' ? { detail: cause.message } : { name }, cause });
}

/** Answers instead of the application, in the shape of the seeds. `x-connector-error` is set by whoever answers the caller. */
export function answerError(stream: TunnelStream, error: AppError, isHead: boolean): number {
  const { status } = ERRORS[error.code];
  const body = Buffer.from(JSON.stringify({ errors: [{ msg: toPublicMessage(error), code: status }] }));
  const fields = [
    'Content-Type',
    'application/json; charset=utf-8',
    'Content-Length',
    String(body.length),
    'Cache-Control',
    'no-store',
  ];
  stream.respond({ status, reason: STATUS_CODES[status] ?? '', fields, connectorError: error.code }, isHead);
  if (isHead) return status;
  stream.write(body);
  stream.end();
  return status;
}
