import { isIPv4 } from 'node:net';

/** An IPv6 address in brackets or a plain host, and a port. */
const AUTHORITY = /^(?:\[([\da-f:]+)\]|([\w.-]+))(?::\d{1,5})?$/i;

const MAPPED_IPV4 = /^::ffff:/i;

/** Whether an address is this machine's own: nobody else can reach it or come from it. */
export function isLoopbackAddress(address: string): boolean {
  const plain = address.replace(MAPPED_IPV4, '');
  return address === '::1' || (isIPv4(plain) && plain.startsWith('127.'));
}

/** Whether a host, without port and brackets, is this machine and nobody else can reach it. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && isLoopbackAddress(host));
}

/** Whether the authority of a URL or a `Host` field, `name:port`, names this machine. */
export function isLoopbackAuthority(authority: string): boolean {
  const [, inBrackets, plain] = AUTHORITY.exec(authority) ?? [];
  return isLoopbackHost(inBrackets ?? plain?.toLowerCase() ?? '');
}
