import { AppError } from '../core/errors.ts';
import type { AccessRule } from './access.ts';
import { MAX_FIELDS } from './limits.ts';
import type { Fields } from './messages.ts';

/** Header fields that are refused. The message is the rest of a sentence about them and quotes no value. */
export class FieldError extends Error {
  override readonly name = 'FieldError';
}

const setOf = (names: string): ReadonlySet<string> => new Set(names.trim().split(/\s+/));

/**
 * Fields that are for the next hop alone (RFC 9110 §7.6.1), and `Trailer`, which Node refuses beside a length.
 * SECURITY: `Proxy-Authorization` is the caller's token for the gateway; CGI takes `Proxy` for the proxy to use.
 */
const HOP_BY_HOP = setOf(`
  connection http2-settings keep-alive proxy proxy-authenticate proxy-authentication-info proxy-authorization
  proxy-connection te trailer transfer-encoding upgrade
`);

/**
 * SECURITY: fields that `Connection` may name in vain. Who could have them dropped on the way would take away what the other
 * end judges by: who asks, from where, for what, and where the body ends.
 */
const END_TO_END = setOf(`
  accept authorization cache-control content-disposition content-encoding content-length content-range
  content-security-policy content-type cookie date etag expect forwarded host location origin range referer
  set-cookie strict-transport-security vary via www-authenticate x-content-type-options x-frame-options x-real-ip
`);
const END_TO_END_PREFIX = /^(?:access-control|if|sec|x-forwarded)-/;

/** What else may not come after the body (RFC 9110 §6.5.1). */
const NO_TRAILER = setOf(`
  age authentication-info expires max-forwards pragma retry-after warning
`);

/** Fields by which backends take another path, or another method, than the request line's. */
const PATH_OVERRIDES = setOf('x-original-url x-rewrite-url x-original-uri x-forwarded-prefix x-forwarded-uri');
const METHOD_OVERRIDES = setOf('x-http-method x-http-method-override x-method-override');

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;
/** RFC 9110 §5.5, without the control characters that Node's writer refuses. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const LENGTH = /^\d{1,15}$/;
const IDEMPOTENT = setOf('GET HEAD OPTIONS TRACE PUT DELETE');

const NOTHING: ReadonlySet<string> = new Set();

function keep(fields: Fields, isKept: (lowerCaseName: string) => boolean): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? '';
    if (isKept(name.toLowerCase())) kept.push(name, fields[at + 1] ?? '');
  }
  return kept;
}

/** By its length first: most names need not be put into small letters. */
const isNamed = (name: string | undefined, lowerCaseName: string): boolean =>
  name?.length === lowerCaseName.length && name.toLowerCase() === lowerCaseName;

const isEndToEnd = (name: string): boolean => END_TO_END.has(name) || END_TO_END_PREFIX.test(name);

function findNamed(fields: Fields): ReadonlySet<string> {
  let named: Set<string> | undefined;
  for (let at = 0; at < fields.length; at += 2) {
    if (!isNamed(fields[at], 'connection')) continue;
    named ??= new Set();
    for (const option of fields[at + 1]?.split(',') ?? []) named.add(option.trim().toLowerCase());
  }
  return named ?? NOTHING;
}

/**
 * The fields without those for one hop alone and without those that any `Connection` names; the rest in order, as it came.
 * A field by which the other end judges stays, though `Connection` names it.
 * @param also further names to drop, in lower case, such as `host`
 * @returns a list of its own
 */
export function dropHopByHop(fields: Fields, also: readonly string[] = []): string[] {
  const named = findNamed(fields);
  const kept: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? '';
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || also.includes(lower) || (named.has(lower) && !isEndToEnd(lower))) continue;
    kept.push(name, fields[at + 1] ?? '');
  }
  return kept;
}

/** The length that `Content-Length` says, in bytes. @returns undefined where there is none */
export function findLength(fields: Fields): number | undefined {
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (isNamed(fields[at], 'content-length')) return Number(fields[at + 1]);
  }
  return undefined;
}

/**
 * The fields without those that would lead a backend past the rule: to a path or a method that was not checked. Where the
 * rule allows all paths, or all methods, there is nothing to lead past.
 * SECURITY: CGI and its heirs read `_` in a name as `-`.
 */
export function dropOverrides(fields: Fields, rule: Pick<AccessRule, 'allowedPaths' | 'allowedMethods'>): string[] {
  return keep(fields, (name) => {
    // All of them begin with this letter.
    if (!name.startsWith('x')) return true;
    const read = name.replaceAll('_', '-');
    const isPath = rule.allowedPaths !== '/*' && PATH_OVERRIDES.has(read);
    return !isPath && !(rule.allowedMethods !== undefined && METHOD_OVERRIDES.has(read));
  });
}

/** The trailers that may be handed on: none that framed, routed or authorised the message, or says how to read its body. */
export function toTrailers(fields: Fields): Fields {
  if (fields.length === 0) return fields;
  return keep(fields, (name) => !HOP_BY_HOP.has(name) && !isEndToEnd(name) && !NO_TRAILER.has(name));
}

/** Whether a request may be sent twice to the effect of once (RFC 9110 §9.2.2). */
export const isIdempotent = (method: string): boolean => IDEMPOTENT.has(method);

/** What fields say of where the body ends. */
interface Framing {
  readonly lengths: number;
  readonly isLength: boolean;
  readonly codings: number;
  readonly isChunked: boolean;
  readonly hosts: number;
}

/** @throws FieldError for anything that is no list of names and values as they may be sent */
function readFraming(items: readonly unknown[]): Framing {
  let [lengths, codings, hosts] = [0, 0, 0];
  let [isLength, isChunked] = [true, true];
  for (let at = 0; at < items.length; at += 2) {
    const name = items[at];
    const text = items[at + 1];
    if (typeof name !== 'string' || !TOKEN.test(name)) throw new FieldError('have a name that is none');
    if (typeof text !== 'string' || !VALUE.test(text)) throw new FieldError('have a value that cannot be sent');
    if (isNamed(name, 'host')) {
      hosts++;
    } else if (isNamed(name, 'content-length')) {
      lengths++;
      isLength &&= LENGTH.test(text);
    } else if (isNamed(name, 'transfer-encoding')) {
      codings++;
      isChunked &&= text.toLowerCase() === 'chunked';
    }
  }
  return { lengths, isLength, codings, isChunked, hosts };
}

function checkFraming({ lengths, isLength, hosts }: Framing): void {
  if (lengths > 1) throw new FieldError('have "Content-Length" twice');
  if (!isLength) throw new FieldError('have a "Content-Length" that is no number');
  if (hosts > 1) throw new FieldError('have "Host" twice');
}

/**
 * Checks the fields that came through the tunnel, whose other end is not trusted.
 * SECURITY: what passes is written to a connection that later requests share. Nothing may end a line, or the body at another
 * place than the tunnel does.
 * @throws FieldError
 */
export function checkFields(value: unknown): Fields {
  if (!Array.isArray(value) || value.length % 2 !== 0) throw new FieldError('are not pairs of name and value');
  if (value.length > 2 * MAX_FIELDS) throw new FieldError(`are more than ${MAX_FIELDS}`);
  const framing = readFraming(value);
  checkFraming(framing);
  if (framing.codings > 0) throw new FieldError('have a "Transfer-Encoding"');
  return value as Fields;
}

/**
 * Checks the fields of a caller's request as Node's parser returned them (`rawHeaders`).
 * @throws AppError invalid_request for more than {@link MAX_FIELDS}, two of `Host` or of `Content-Length`, a length that is
 *   none, a length beside `Transfer-Encoding`, another transfer coding than `chunked`
 */
export function readFields(rawHeaders: readonly string[]): Fields {
  try {
    const framing = readFraming(rawHeaders);
    const { codings, isChunked, lengths } = framing;
    if (codings > 1 || !isChunked) throw new FieldError('have a transfer coding other than "chunked"');
    if (codings > 0 && lengths > 0) throw new FieldError('have both "Content-Length" and "Transfer-Encoding"');
    if (rawHeaders.length > 2 * (MAX_FIELDS + codings)) throw new FieldError(`are more than ${MAX_FIELDS}`);
    checkFraming(framing);
    return rawHeaders;
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new AppError('invalid_request', { values: { detail: `the header fields ${error.message}` } });
  }
}

/** Whether Node's parser has taken off what transfer codings an answer has (RFC 9112 §7): none is left of which nobody would learn. */
export function isPlainlyCoded(rawHeaders: Fields): boolean {
  let codings = 0;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    if (!isNamed(rawHeaders[at], 'transfer-encoding')) continue;
    if (++codings > 1 || !/^(?:chunked|identity)$/i.test(rawHeaders[at + 1] as string)) return false;
  }
  return true;
}
