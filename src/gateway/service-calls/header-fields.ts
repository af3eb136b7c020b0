import { AppError } from '../../core/errors.ts';
import type { Fields } from '../../tunnel/messages.ts';
import { MAX_CALL_FIELDS, MAX_FIELD_LENGTH } from './limits.ts';

/** Header fields as JSON has them: several values of one name as an array. */
export type HeaderMembers = Readonly<Record<string, string | readonly string[]>>;

/** Of one connection (RFC 9110 §7.6.1), or made here. */
const NOT_PASSED_ON: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'proxy-authentication-info',
  'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings', 'host', 'content-length', 'expect',
]); // prettier-ignore

/** What goes to another origin after a redirect: nothing that could be a credential, whatever its name. */
const HARMLESS: ReadonlySet<string> = new Set([
  'accept', 'accept-encoding', 'accept-language', 'content-type', 'content-language', 'user-agent',
]); // prettier-ignore

const NAME = /^[\w!#$%&'*+.^`|~-]+$/;
// Bytes above ASCII as Latin-1, which is how Node writes and reads them.
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The header fields of a call, without those of a connection.
 * @throws AppError `invalid_request`
 */
export function toRequestFields(members: HeaderMembers): Fields {
  const pairs = Object.entries(members).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : value).map((one) => [name, one] as const),
  );
  if (pairs.length > MAX_CALL_FIELDS) throw refusal(`"headers" must have at most ${MAX_CALL_FIELDS} member(s)`);
  for (const [name, value] of pairs) {
    if (!NAME.test(name)) throw refusal('"headers" has a name that no header field can have');
    // SECURITY: a line break would begin another field, or another request.
    if (!VALUE.test(value)) throw refusal(`"headers.${name}" has a character that no header field can have`);
    if (value.length > MAX_FIELD_LENGTH) throw refusal(`"headers.${name}" is too long`);
  }
  return withoutConnectionFields(pairs.flat());
}

/** Fields without those of a connection: the fixed ones, and those that `Connection` names. */
export function withoutConnectionFields(fields: Fields): Fields {
  const named = filterFields(fields, (name) => name === 'connection').filter((_, index) => index % 2 === 1);
  const dropped = new Set(named.flatMap((value) => value.split(',').map((name) => name.trim().toLowerCase())));
  return filterFields(fields, (name) => !NOT_PASSED_ON.has(name) && !dropped.has(name));
}

/** What of the fields of a call may go to an origin that they were not written for. */
export const toHarmlessFields = (fields: Fields): Fields => filterFields(fields, (name) => HARMLESS.has(name));

/** The fields without those about a body that is not sent on. */
export const withoutBodyFields = (fields: Fields): Fields =>
  filterFields(fields, (name) => !name.startsWith('content-'));

/** Whether there is a field of this lower-case name. */
export const hasField = (fields: Fields, wanted: string): boolean =>
  filterFields(fields, (name) => name === wanted).length > 0;

/** The first value of a field of this lower-case name. */
export const findField = (fields: Fields, wanted: string): string | undefined =>
  filterFields(fields, (name) => name === wanted)[1];

/** Header fields of an answer as JSON has them, names in lower case, without those of a connection. */
export function toHeaderMembers(fields: Fields): HeaderMembers {
  const kept = withoutConnectionFields(fields);
  const members = new Map<string, string[]>();
  kept.forEach((name, index) => {
    if (index % 2 === 1) return;
    const values = members.get(name.toLowerCase()) ?? [];
    values.push(kept[index + 1] ?? '');
    members.set(name.toLowerCase(), values);
  });
  return Object.fromEntries(
    [...members].map(([name, values]) => [name, values.length === 1 ? (values[0] ?? '') : values]),
  );
}

function filterFields(fields: Fields, isWanted: (lowerCaseName: string) => boolean): string[] {
  return fields.filter((_, index) => isWanted((fields[index - (index % 2)] ?? '').toLowerCase()));
}

function refusal(detail: string): AppError {
  return new AppError('invalid_request', { values: { detail } });
}
