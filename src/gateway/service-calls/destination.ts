import { isIP } from 'node:net';

import { AppError } from '../../core/errors.ts';
import { toPlainAddress } from './addresses.ts';
import type { HostRules } from './host-rules.ts';
import type { ServiceUrl } from './service-url.ts';

/** An address as the resolver gives it. */
export interface FoundAddress {
  readonly address: string;
  readonly family: number;
}

/** All addresses of a name; `dns.promises.lookup` with `all`. */
export type Lookup = (host: string) => Promise<readonly FoundAddress[]>;

/**
 * The addresses that a call may be connected to, every one of them checked.
 * @throws AppError `service_url_forbidden`, or `service_unreachable` where the name has no address
 */
export async function findAddresses(
  url: ServiceUrl,
  rules: HostRules,
  lookup: Lookup,
): Promise<readonly FoundAddress[]> {
  const isAllowed = rules.find(url);
  if (isAllowed === undefined) {
    throw forbidden('COUNTERSIGN_SERVICE_HOSTS does not name it with this scheme and port', url.origin);
  }
  const family = isIP(url.host);
  const found = family === 0 ? await resolve(url.host, lookup) : [{ address: url.host, family }];
  // SECURITY: one bad address among good ones is an attack, or a mistake that must not depend on which one answers.
  for (const { address } of found) {
    const plain = toPlainAddress(address);
    if (plain === undefined || !isAllowed(plain)) {
      throw forbidden('the name leads to an address that is not allowed', `${url.host} is at ${address}`);
    }
  }
  return found;
}

async function resolve(host: string, lookup: Lookup): Promise<readonly FoundAddress[]> {
  let found: readonly FoundAddress[];
  try {
    found = await lookup(host);
  } catch (cause) {
    throw unresolved(host, cause);
  }
  if (found.length === 0) throw unresolved(host);
  return found;
}

function unresolved(host: string, cause?: unknown): AppError {
  return new AppError('service_unreachable', { values: { detail: 'its name has no address' }, detail: host, cause });
}

function forbidden(sentence: string, detail: string): AppError {
  return new AppError('service_url_forbidden', { values: { detail: sentence }, detail });
}
