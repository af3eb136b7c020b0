import { isUtf8 } from 'node:buffer';

/** A path, or an entry of an access control, that is refused. The message is the rest of a sentence about it and quotes nothing. */
export class PathError extends Error {
  override readonly name = 'PathError';
}

/** How often a path may decode into something else. What is encoded deeper is refused: nobody means it. */
export const MAX_DECODINGS = 8;

const CONTROL = /[\x00-\x20\x7f]/;
const NOT_ASCII = /[^\x00-\x7f]/;
const BAD_ESCAPE = /%(?![\da-f]{2})/i;
const ESCAPE = /%([\da-f]{2})/gi;
const CONTROL_BYTE = /[\x00-\x1f\x7f]/;
/** Encodings in UTF-8 that are longer than need be (RFC 3629 §3): old decoders read dots and slashes in them. */
const OVERLONG = /[\xc0\xc1]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]/;
/** Dots alone, which some file systems read with spaces about them, and before path parameters (`..;x`, as Tomcat reads). */
const DOTS = /^ *\.[ .]*(?:;|$)/;
const SLASHES = /[/\\]/;
const UNRESERVED = /[\w.~-]/;

/**
 * Reads the path of a request target in origin form, up to `?`, and refuses what two readers could take for different paths:
 *
 * - control bytes, spaces, bytes outside ASCII and `#`, anywhere in the target; `\` in the path;
 * - escapes that are no escapes, that are no UTF-8, or that stand for control bytes;
 * - `%2f` and `%5c`, unless `allowEncodedSlash`;
 * - segments of dots alone, also encoded, also with parameters behind them (`..;`), also in compatible characters (U+2025);
 * - empty segments but for the last, which backends merge: `/a//b` would pass where `/a/b` is not admitted;
 * - what becomes any of these when it is decoded again and again (`%252e`).
 * @returns the path as it came: nothing is rewritten, and the target is to be forwarded as it is
 * @throws PathError
 */
export function checkTarget(rawTarget: string, allowEncodedSlash: boolean): string {
  // SECURITY: the query too. A byte of these ends the request line, and what follows `#` is a path to some.
  if (CONTROL.test(rawTarget)) throw new PathError('has a space or a control character');
  if (NOT_ASCII.test(rawTarget)) throw new PathError('has a character outside ASCII that is not percent-encoded');
  if (rawTarget.includes('#')) throw new PathError('has a fragment');
  const end = rawTarget.indexOf('?');
  const path = end === -1 ? rawTarget : rawTarget.slice(0, end);
  if (!path.startsWith('/')) throw new PathError('does not begin with a slash');
  if (path.includes('\\')) throw new PathError('has a backslash');
  checkSegments(path);
  if (path.includes('%')) checkEscapes(path, allowEncodedSlash);
  return path;
}

function checkEscapes(path: string, allowEncodedSlash: boolean): void {
  if (BAD_ESCAPE.test(path)) throw new PathError('has a percent sign that begins no escape');
  const slashes = countSlashes(path);
  // One character for one byte, so that bytes of different depth come together as they would at the other end.
  let [before, bytes] = [path, decodeOnce(path)];
  if (!isUtf8(Buffer.from(bytes, 'latin1'))) throw new PathError('has escapes that are not UTF-8');
  for (let depth = 1; bytes !== before; depth++) {
    if (depth > MAX_DECODINGS) throw new PathError(`is encoded more than ${MAX_DECODINGS} times`);
    if (CONTROL_BYTE.test(bytes)) throw new PathError('has an encoded control character');
    if (OVERLONG.test(bytes)) throw new PathError('has escapes that are not UTF-8');
    if (!allowEncodedSlash && countSlashes(bytes) !== slashes) throw new PathError('has an encoded slash or backslash');
    checkDots(bytes);
    [before, bytes] = [bytes, decodeOnce(bytes)];
  }
}

const decodeOnce = (bytes: string): string =>
  bytes.replace(ESCAPE, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

const countSlashes = (bytes: string): number => bytes.split(SLASHES).length;

function checkDots(bytes: string): void {
  const text = NOT_ASCII.test(bytes) ? Buffer.from(bytes, 'latin1').toString().normalize('NFKC') : bytes;
  if (text.split(SLASHES).some((segment) => DOTS.test(segment))) throw new PathError('has a segment of dots alone');
}

function checkSegments(path: string): void {
  checkDots(path);
  // A segment of parameters alone (`/;x/`) is empty once a backend has taken them away.
  if (/\/(?:\/|;)/.test(path)) throw new PathError('has an empty segment');
}

/**
 * Whether an access control admits a path that {@link checkTarget} returned. By whole segments and with regard to case:
 * `/a/*` admits `/a/` and all below it, but neither `/a` nor `/ab`; `/a` admits itself alone, not `/a/`; `/*` admits all.
 * For the comparison alone, escapes of letters, digits, `-`, `.`, `_` and `~` are decoded (RFC 3986 §6.2.2.2) and those of
 * anything else are without case.
 */
export function isPathAllowed(path: string, allowedPaths: '/*' | readonly string[]): boolean {
  if (allowedPaths === '/*') return true;
  const wanted = toComparable(path);
  return allowedPaths.some((entry) => {
    const admitted = toComparable(entry);
    return admitted.endsWith('/*') ? wanted.startsWith(admitted.slice(0, -1)) : wanted === admitted;
  });
}

function toComparable(path: string): string {
  if (!path.includes('%')) return path;
  return path.replace(ESCAPE, (escape, hex: string) => {
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    return UNRESERVED.test(char) ? char : escape.toUpperCase();
  });
}

/**
 * Checks an entry of `allowedPaths`: a path as {@link checkTarget} takes it, or one that ends in `/*`.
 * An entry with `%2f` or `%5c` matches only where its rule allows encoded slashes.
 * @throws PathError
 */
export function checkPathEntry(entry: string): void {
  if (entry.includes('?')) throw new PathError('has a "?": parameters are not looked at');
  const path = entry.endsWith('/*') ? entry.slice(0, -1) : entry;
  if (path.includes('*')) throw new PathError('has a "*" elsewhere than in a final "/*"');
  checkTarget(path, true);
}
