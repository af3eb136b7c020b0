import { isIPv6 } from 'node:net';

/** The longest host name, in characters (RFC 1035 §2.3.4, without the final dot). */
export const MAX_HOST_LENGTH = 253;
/** The highest port. */
export const MAX_PORT = 65_535;

const LABELS = /^[a-z\d_](?:[a-z\d_-]*[a-z\d_])?(?:\.[a-z\d_](?:[a-z\d_-]*[a-z\d_])?)*$/;
const DIGITS = /^[1-9]\d{0,4}$/;

/**
 * The one form of a host that both ends compare: lower case, without the final dot of a complete name, without the brackets
 * about an IPv6 address. Addresses are not brought to one spelling, names outside ASCII have to come as punycode. It is a
 * name to look up in a table, not one to resolve: other readers take `0x7f.1` for an address.
 * @returns undefined for what is no host: empty labels, escapes, a zone, anything that is not of a name or an address
 */
export function parseHost(text: string): string | undefined {
  const isBracketed = text.startsWith('[') && text.endsWith(']');
  const bare = (isBracketed ? text.slice(1, -1) : text).toLowerCase();
  if (bare.includes(':') || isBracketed) return isIPv6(bare) && !bare.includes('%') ? bare : undefined;
  const name = bare.endsWith('.') ? bare.slice(0, -1) : bare;
  return name.length <= MAX_HOST_LENGTH && LABELS.test(name) ? name : undefined;
}

/** A port in decimal digits, without leading zeros. @returns undefined for what is none */
export function parsePort(text: string): number | undefined {
  const port = DIGITS.test(text) ? Number(text) : 0;
  return port > 0 && port <= MAX_PORT ? port : undefined;
}
