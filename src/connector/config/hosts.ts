import { isIP, isIPv6 } from 'node:net';

import { parseHost } from '../../tunnel/host.ts';

/**
 * A host name or an address in the form that both ends compare. What an operator may have meant otherwise is told.
 * @throws Error whose message is the rest of a sentence and quotes nothing
 */
export function readHost(text: string): string {
  if (text.includes('://')) throw new Error('must be a host alone, without http:// or https://');
  if (text.includes('@')) throw new Error('must be a host alone, without a user');
  if (/[/?#\\]/.test(text)) throw new Error('must be a host alone, without a path');
  if (text.includes('%')) throw new Error('must be an address without a zone');
  if (/^[^:]*:\d*$|^\[.*\]:\d*$/.test(text)) throw new Error('must be a host alone; the port has a setting of its own');
  if (/[^\x20-\x7e]/.test(text)) throw new Error('must be written in ASCII, as in xn--…');
  const host = parseHost(text);
  if (host === undefined) throw new Error('is not a host name or an address');
  // Resolvers take 10.1 and 0x7f.1 for addresses.
  if (isIP(host) === 0 && /(?:^|\.)(?:\d+|0x[\da-f]*)$/.test(host)) throw new Error('is not an IPv4 address');
  return host;
}

/** A host as it stands before a port. */
export function toAuthority(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * An entry of `noProxy`: a host, `.suffix` or `*.suffix` for all below it, or `*`.
 * @throws Error whose message is the rest of a sentence
 */
export function readNoProxy(text: string): string {
  if (text === '*') return text;
  const suffix = /^\*?(\..+)$/.exec(text)?.[1];
  if (suffix === undefined) return readHost(text);
  const host = readHost(suffix.slice(1));
  if (isIP(host) !== 0) throw new Error('an address has nothing below it');
  return `.${host}`;
}

/**
 * The origin of a gateway.
 * @throws Error whose message is the rest of a sentence and quotes nothing
 */
export function readGatewayUrl(text: string): string {
  if (!/^https:\/\//i.test(text)) throw new Error('must begin with https://');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw new Error('is not a URL');
  if (url.username !== '' || url.password !== '') throw new Error('must not have a user or a password');
  if (url.pathname !== '/' || /[?#]/.test(text)) throw new Error('must be https://host:port without a path');
  return url.origin;
}
