import { isIPv6 } from 'node:net';

import { AppError } from '../../core/errors.ts';
import { MAX_URL_LENGTH } from './limits.ts';

/** Where a service call goes, in parts. */
export interface ServiceUrl {
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

/** No user, no fragment, nothing that is percent-encoded before the path, nothing but visible ASCII. */
const FORM = /^(https?):\/\/([a-z\d._-]+|\[[\da-f:.]+\])(?::(\d{1,5}))?((?:[/?][!-~]*)?)$/i;

const EMPTY_LABEL = /^\.|\.\.|\.$/;

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/**
 * Takes a URL apart. What readers of URLs understand differently is refused rather than rewritten: users, backslashes,
 * fragments, addresses in decimal, octal or hexadecimal, names with a dot at their end or outside ASCII.
 * @throws AppError `invalid_request` that quotes nothing
 */
export function parseServiceUrl(text: string): ServiceUrl {
  const [, scheme = '', written = '', digits, rest = ''] = text.length > MAX_URL_LENGTH ? [] : (FORM.exec(text) ?? []);
  if (scheme === '' || /[\\#]/.test(rest)) {
    throw refusal('must be an http or https URL of ASCII characters without user, backslash and fragment');
  }
  const host = toHost(written);
  if (host === undefined) throw refusal('must have a plain host: a name, or an address in its usual form');
  const protocol = scheme.toLowerCase();
  const ownPort = DEFAULT_PORTS[protocol];
  const port = digits === undefined ? ownPort : Number(digits);
  if (port === undefined || port < 1 || port > 65_535) throw refusal('must have a port from 1 to 65535');
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

/**
 * A host in its one form.
 * @returns undefined where the URL standard would read something else than what is written
 */
export function toHost(written: string): string | undefined {
  const url = `http://${written}`;
  if (EMPTY_LABEL.test(written) || !URL.canParse(url)) return undefined;
  const { hostname } = new URL(url);
  if (hostname.startsWith('[')) return hostname.slice(1, -1);
  return hostname === written.toLowerCase() ? hostname : undefined;
}

function refusal(sentence: string): AppError {
  return new AppError('invalid_request', { values: { detail: `"url" ${sentence}` } });
}
