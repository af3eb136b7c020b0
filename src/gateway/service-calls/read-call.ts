import type { IncomingMessage } from 'node:http';

import { AppError } from '../../core/errors.ts';
import { JsonError, parseJsonObject } from '../../core/json.ts';
import { checkShape } from '../../http/check.ts';
import type { CallBody } from './exchange.ts';
import { hasField, toRequestFields } from './header-fields.ts';
import { MAX_CALL_HEADER_LENGTH } from './limits.ts';
import { serviceCall, streamedCall, type StreamedCall } from './schemas.ts';

/** The field that says where a streamed body goes. */
export const CALL_HEADER = 'x-service-call';

/** A call as it was asked for. */
export interface ReadCall {
  readonly call: StreamedCall;
  readonly body: CallBody | undefined;
}

const BASE64 = /^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/;

/**
 * A call with its body inside.
 * @throws AppError `invalid_request`
 */
export function parseCall(json: unknown): ReadCall {
  const { body, bodyEncoding, ...call } = checkShape(serviceCall, json);
  if (body === undefined) return { call, body: undefined };
  if (typeof body !== 'string') {
    const isTyped = hasField(toRequestFields(call.headers), 'content-type');
    const headers = isTyped ? call.headers : { ...call.headers, 'content-type': 'application/json' };
    return { call: { ...call, headers }, body: Buffer.from(JSON.stringify(body)) };
  }
  if (bodyEncoding === 'base64' && !BASE64.test(body)) {
    throw new AppError('invalid_request', { values: { detail: '"body" must be base64' } });
  }
  return { call, body: Buffer.from(body, bodyEncoding) };
}

/**
 * A call whose body is the request's own, which is not read here.
 * @throws AppError `invalid_request`
 */
export function parseStreamedCall(req: IncomingMessage): ReadCall {
  const call = checkShape(streamedCall, decode(String(req.headers[CALL_HEADER])));
  const { 'content-length': length, 'transfer-encoding': transfer } = req.headers;
  if (length === undefined && transfer === undefined) return { call, body: undefined };
  return { call, body: { stream: req, length: length === undefined ? undefined : Number(length) } };
}

function decode(header: string): unknown {
  if (header.length > MAX_CALL_HEADER_LENGTH || !/^[\w-]+={0,2}$/.test(header))
    throw refusal('must be base64url of JSON');
  try {
    return parseJsonObject(Buffer.from(header, 'base64url').toString('utf8'));
  } catch (error) {
    throw error instanceof JsonError ? refusal(error.message) : error;
  }
}

function refusal(rest: string): AppError {
  return new AppError('invalid_request', { values: { detail: `${CALL_HEADER} ${rest}` } });
}
