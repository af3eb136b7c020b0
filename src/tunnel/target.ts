import { AppError } from '../core/errors.ts';
import { parseHost, parsePort } from './host.ts';

/** What a request in absolute form asks for. */
export interface AbsoluteTarget {
  /** Lower case, without brackets, without a final dot. */
  readonly host: string;
  readonly port: number;
  /** Path and query, the bytes as they came; `/` where there is no path. */
  readonly target: string;
}

/** The port that a scheme stands for; a rule of an access control without a port means the same. */
export const DEFAULT_PORTS = { http: 80, ws: 80, https: 443, wss: 443 } as const;

const FORM = /^(https?|wss?):\/\/([^/?#]*)(.*)$/is;
const AUTHORITY = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s;
const UNPRINTABLE = /[^\x21-\x7e]/;

const refuse = (detail: string): AppError => new AppError('invalid_request', { values: { detail } });

/**
 * Takes apart the target of a request to a forward proxy (RFC 9112 §3.2.2). Nothing of the path is normalised.
 * @throws AppError invalid_request where it is not of this form: user names, fragments, control bytes and spaces, an empty
 *   host, a port that is none
 */
export function parseAbsoluteTarget(rawUrl: string): AbsoluteTarget {
  if (UNPRINTABLE.test(rawUrl)) throw refuse('the URL has a space, a control character or one outside ASCII');
  const [, scheme = '', authority = '', rest = ''] = FORM.exec(rawUrl) ?? [];
  if (scheme === '') throw refuse('the URL is not http://host[:port]/path');
  // SECURITY: two readers differ about which side of an `@` is the host.
  if (authority.includes('@')) throw refuse('the URL has a user name');
  if (rest.includes('#')) throw refuse('the URL has a fragment');
  const [, hostText = '', portText] = AUTHORITY.exec(authority) ?? [];
  const host = parseHost(hostText);
  if (host === undefined) throw refuse("the URL's host cannot be read");
  const fallback = DEFAULT_PORTS[scheme.toLowerCase() as keyof typeof DEFAULT_PORTS];
  const port = portText === undefined ? fallback : parsePort(portText);
  if (port === undefined) throw refuse("the URL's port cannot be read");
  return { host, port, target: rest.startsWith('/') ? rest : `/${rest}` };
}
