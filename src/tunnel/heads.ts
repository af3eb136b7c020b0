import { isJsonObject, type JsonObject } from '../core/json.ts';
import { checkFields, FieldError } from './fields.ts';
import { FrameError } from './frames.ts';
import {
  type Destination,
  type Fields,
  type Hello,
  type RequestHead,
  type ResponseHead,
  SERVICES,
} from './messages.ts';

const broken = (what: string): FrameError => new FrameError('protocol', `${what} that cannot be read`);

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~\w-]{1,256}$/;
/** Path and query as they may stand in a request line. */
const TARGET = /^\/[\x21-\x7e]*$/;
const HOST = /^[\w.:-]{1,255}$/;
const MAX_REASON_LENGTH = 200;
const REASON = new RegExp(`^[\\t\\x20-\\x7e\\x80-\\xff]{0,${MAX_REASON_LENGTH}}$`);
const NOT_IN_REASON = /[^\t\x20-\x7e\x80-\xff]/g;
const WORD = /^[\w.:/ -]{1,128}$/;

const SWITCHING_PROTOCOLS = 101;
const MAX_PORT = 65_535;
const MAX_WORKER = 4_096;

function parse(payload: Buffer, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch {
    throw broken(what);
  }
  if (!isJsonObject(value)) throw broken(what);
  return value;
}

const isText = (value: unknown, form: RegExp): value is string => typeof value === 'string' && form.test(value);
const isOptional = (value: unknown, form: RegExp): value is string | undefined =>
  value === undefined || isText(value, form);
const isWhole = (value: unknown, min: number, max: number): value is number =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;

/** SECURITY: what stands in a head is written into a request line and into header fields: nothing of it may end them. */
function isFields(value: unknown): value is Fields {
  try {
    checkFields(value);
    return true;
  } catch (error) {
    if (error instanceof FieldError) return false;
    throw error;
  }
}

function toDestination(value: unknown): Destination | undefined {
  if (!isJsonObject(value)) return undefined;
  const { service, host, port } = value;
  const known = SERVICES.find((name) => name === service);
  if (known !== undefined) return { service: known };
  return isText(host, HOST) && isWhole(port, 1, MAX_PORT) ? { host, port } : undefined;
}

/** @throws FrameError */
export function parseRequestHead(payload: Buffer): RequestHead {
  const { to: given, method, target, fields, upgrade, requestId, connector } = parse(payload, 'a request');
  const to = toDestination(given);
  if (
    to === undefined ||
    !isText(method, TOKEN) ||
    !isText(target, TARGET) ||
    !isFields(fields) ||
    !isOptional(upgrade, TOKEN) ||
    !isOptional(requestId, WORD) ||
    !isOptional(connector, WORD)
  ) {
    throw broken('a request');
  }
  const head: { -readonly [Name in keyof RequestHead]: RequestHead[Name] } = { to, method, target, fields };
  if (upgrade !== undefined) head.upgrade = upgrade;
  if (requestId !== undefined) head.requestId = requestId;
  if (connector !== undefined) head.connector = connector;
  return head;
}

/** Whether no other head comes behind one of this status. */
export const isFinal = (status: number): boolean => status >= 200 || status === SWITCHING_PROTOCOLS;

/** @throws FrameError */
export function parseResponseHead(payload: Buffer): ResponseHead {
  const { status, reason, fields, connectorError } = parse(payload, 'a response');
  if (!isWhole(status, 100, 599) || !isText(reason, REASON) || !isFields(fields) || !isOptional(connectorError, WORD)) {
    throw broken('a response');
  }
  return connectorError === undefined ? { status, reason, fields } : { status, reason, fields, connectorError };
}

/** @throws FrameError */
export function parseTrailers(payload: Buffer): Fields {
  const { fields } = parse(payload, 'trailers');
  if (!isFields(fields)) throw broken('trailers');
  return fields;
}

/** @throws FrameError */
export function parseHello(payload: Buffer): Hello {
  const { id, instance, worker, version, hostname, node } = parse(payload, 'a HELLO');
  if (
    !isText(id, WORD) ||
    !isText(instance, WORD) ||
    !isWhole(worker, 0, MAX_WORKER) ||
    !isText(version, WORD) ||
    !isText(hostname, WORD) ||
    !isOptional(node, WORD)
  ) {
    throw broken('a HELLO');
  }
  return { id, instance, worker, version, hostname, ...(node !== undefined && { node }) };
}

/** What a GOAWAY says. */
export interface Goaway {
  readonly code: number;
  /** The highest stream of the other end that was begun. */
  readonly lastStream: number;
  readonly detail: string;
  readonly retryAfterMs?: number;
}

/** An hour: no other end may ask for more. */
export const MAX_RETRY_AFTER_MS = 3_600_000;

/** A text as the other end takes it for a reason. */
export const toReason = (text: string): string => text.slice(0, MAX_REASON_LENGTH).replace(NOT_IN_REASON, '?');

/** @throws FrameError */
export function parseGoaway(payload: Buffer): Goaway {
  const { code, lastStream, detail, retryAfterMs } = parse(payload, 'a GOAWAY');
  if (!isWhole(code, 0, 255) || !isWhole(lastStream, 0, 0xffff_ffff) || !isText(detail, REASON)) {
    throw broken('a GOAWAY');
  }
  return { code, lastStream, detail, ...(isWhole(retryAfterMs, 0, MAX_RETRY_AFTER_MS) && { retryAfterMs }) };
}
