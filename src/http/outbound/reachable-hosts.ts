import { isMetadataAddress, isPublicAddress, toPlainAddress } from './addresses.ts';
import type { AddressCheck } from './destination.ts';
import { toHost } from './host.ts';

/** What names and addresses are written with. */
const PLAIN = /^[a-z\d._:-]+$/i;

/** Names in a list of hosts that cannot be read; the message names them. */
export class HostListError extends Error {
  override readonly name = 'HostListError';
}

/**
 * Where hosts may lead: the public internet, and for those that `names` lists anywhere but to what hands out the machine's
 * credentials.
 * @throws HostListError
 */
export function createReachableHosts(names: readonly string[]): (host: string) => AddressCheck {
  const hosts = names.map(toListedHost);
  const wrong = names.filter((_, index) => hosts[index] === undefined);
  if (wrong.length > 0)
    throw new HostListError(`"${wrong.join('", "')}": a host is a name or an address, nothing else`);
  const named = new Set(hosts);
  // SECURITY: a listed name whose answer is changed must not lead to the machine's credentials either.
  return (host) => (named.has(host) ? (address) => !isMetadataAddress(address) : isPublicAddress);
}

/** A host in its one form; an IPv6 address is listed without brackets. */
function toListedHost(name: string): string | undefined {
  if (!PLAIN.test(name)) return undefined;
  const isIPv6 = name.includes(':') && toPlainAddress(name) !== undefined;
  return toHost(isIPv6 ? `[${name}]` : name);
}
