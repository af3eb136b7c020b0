/** The longest text that one field of a log line may hold, in characters. */
export const MAX_LOGGED_TEXT = 2_048;
/** The longest path that an audit line shows, in characters. */
export const MAX_LOGGED_PATH = 1_024;

const CENSOR = '[redacted]';
/** What looks like a JWT, a bearer or an API key. */
const TOKEN = /(?:eyJ|cs1_|csk_|csc_)[\w.-]{16,}/g;
/** What stands behind a scheme of credentials. */
const CREDENTIAL = /\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi;
/** User and password of a URL. */
const USERINFO = /(\b[a-z][a-z\d+.-]*:\/\/)[^/?#\s@]*@/gi;
/** A private key, as far as the text has it. */
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;
/** Names of fields whose values are never shown. */
const SECRET_NAME = /^(?:.*(?:token|secret|password|passphrase|authorization|cookie|assertion)|jwt|key|privatekey)$/i;
/** A segment of a path that nobody can read and nobody can guess: letters and digits mixed, 32 characters or more. */
const OPAQUE = /^(?=.*\d)(?=.*[a-z])[\w.~=-]{32,}$/i;
const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** A text for a log: cut to length, and without what looks like a credential. */
export function redactText(text: string, maxChars = MAX_LOGGED_TEXT): string {
  const short = text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
  return short
    .replace(PRIVATE_KEY, CENSOR)
    .replace(TOKEN, CENSOR)
    .replace(CREDENTIAL, `$1 ${CENSOR}`)
    .replace(USERINFO, `$1${CENSOR}@`);
}

/** What a field of that name may show. */
export function redactField(name: string, value: unknown): unknown {
  if (SECRET_NAME.test(name)) return CENSOR;
  if (typeof value === 'string') return redactText(value);
  if (value instanceof Error) return redactText(value.message);
  if (Array.isArray(value)) return value.map((item) => redactField(name, item));
  if (typeof value === 'object' && value !== null) return redactFields(value as Readonly<Record<string, unknown>>);
  return typeof value === 'bigint' || typeof value === 'symbol' ? String(value) : value;
}

export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, redactField(name, value)]));
}

/**
 * A request target as the audit log shows it: the path, with segments that look like tokens censored, and the names of
 * the query's parameters without their values.
 */
export function toLoggedTarget(target: string): string {
  const end = target.indexOf('#');
  const whole = end === -1 ? target : target.slice(0, end);
  const mark = whole.indexOf('?');
  const path = redactPath(mark === -1 ? whole : whole.slice(0, mark));
  if (mark === -1) return path;
  const names = whole.slice(mark + 1, mark + 1 + MAX_LOGGED_PATH).split('&').map(toLoggedParameter); // prettier-ignore
  return `${path}?${names.join('&')}`;
}

/** A parameter without a value may be a token as a whole. */
function toLoggedParameter(parameter: string): string {
  const equals = parameter.indexOf('=');
  if (equals === -1) return redactSegment(parameter);
  return `${redactSegment(parameter.slice(0, equals))}=*`;
}

function redactPath(path: string): string {
  const plain = path.replace(/^[a-z][a-z\d+.-]*:\/\/[^/]*/i, '');
  // Most paths hold nothing long: they are not taken apart.
  const isShort = plain.length < 20;
  const shown = isShort ? plain : plain.slice(0, MAX_LOGGED_PATH).split('/').map(redactSegment).join('/');
  return plain.length > MAX_LOGGED_PATH ? `${shown}…` : shown;
}

function redactSegment(segment: string): string {
  const shown = segment.replace(TOKEN, CENSOR);
  return OPAQUE.test(shown) && !UUID.test(shown) ? CENSOR : shown;
}
