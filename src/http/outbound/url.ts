import { isIPv6 } from 'node:net';

import { toHost } from './host.ts';

/** The longest URL of a service, in characters. */
export const MAX_URL_LENGTH = 4_096;

/** Where a request goes, in parts. */
export interface OutboundUrl {
  readonly isSecure: boolean;
  /** Lower case; an IPv6 address without its brackets. */
  readonly host: string;
  readonly port: number;
  /** Path and query, the original bytes. */
  readonly target: string;
  /** As the `Host` field has it: the port only where it is not the scheme's own. */
  readonly authority: string;
  readonly origin: string;
}

/** A URL that is not taken. The message goes on from the name of what held it, and quotes nothing. */
export class UrlError extends Error {
  override readonly name = 'UrlError';
}

/** No user, no fragment, nothing that is percent-encoded before the path, nothing but visible ASCII. */
const FORM = /^(https?):\/\/([a-z\d._-]+|\[[\da-f:.]+\])(?::(\d{1,5}))?((?:[/?][!-~]*)?)$/i;

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/**
 * Takes a URL apart. What readers of URLs understand differently is refused rather than rewritten: users, backslashes,
 * fragments, addresses in decimal, octal or hexadecimal, names with a dot at their end or outside ASCII.
 * @throws UrlError
 */
export function parseOutboundUrl(text: string): OutboundUrl {
  const [, scheme = '', written = '', digits, rest = ''] = text.length > MAX_URL_LENGTH ? [] : (FORM.exec(text) ?? []);
  if (scheme === '' || /[\\#]/.test(rest)) {
    throw new UrlError('must be an http or https URL of ASCII characters without user, backslash and fragment');
  }
  const host = toHost(written);
  if (host === undefined) throw new UrlError('must have a plain host: a name, or an address in its usual form');
  const protocol = scheme.toLowerCase();
  const ownPort = DEFAULT_PORTS[protocol];
  const port = digits === undefined ? ownPort : Number(digits);
  if (port === undefined || port < 1 || port > 65_535) throw new UrlError('must have a port from 1 to 65535');
  const authority = (isIPv6(host) ? `[${host}]` : host) + (port === ownPort ? '' : `:${port}`);
  return {
    isSecure: protocol === 'https',
    host,
    port,
    target: rest.startsWith('/') ? rest : `/${rest}`,
    authority,
    origin: `${protocol}://${authority}`,
  };
}
