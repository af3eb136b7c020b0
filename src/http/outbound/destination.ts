import { isIP, type LookupFunction } from 'node:net';

import { type PlainAddress, toPlainAddress } from './addresses.ts';

/** An address as the resolver gives it. */
export interface FoundAddress {
  readonly address: string;
  readonly family: number;
}

/** All addresses of a name; `dns.promises.lookup` with `all`. */
export type Lookup = (host: string) => Promise<readonly FoundAddress[]>;

/** Whether a host that is named may be reached at an address. */
export type AddressCheck = (address: PlainAddress) => boolean;

/** Why a host may not or cannot be connected to. The message is for the log alone. */
export class DestinationError extends Error {
  override readonly name = 'DestinationError';
  readonly reason: 'unresolved' | 'forbidden';

  constructor(reason: 'unresolved' | 'forbidden', message: string, cause?: unknown) {
    super(message, { cause });
    this.reason = reason;
  }
}

/**
 * The addresses that a host may be connected to, every one of them checked.
 * @throws DestinationError
 */
export async function findAllowedAddresses(
  host: string,
  isAllowed: AddressCheck,
  lookup: Lookup,
): Promise<readonly FoundAddress[]> {
  const family = isIP(host);
  const found = family === 0 ? await resolve(host, lookup) : [{ address: host, family }];
  // SECURITY: one bad address among good ones is an attack, or a mistake that must not depend on which one answers.
  for (const { address } of found) {
    const plain = toPlainAddress(address);
    if (plain === undefined || !isAllowed(plain)) throw new DestinationError('forbidden', `${host} is at ${address}`);
  }
  return found;
}

/** SECURITY: the very addresses that were checked; asking again could lead elsewhere. */
export function pinTo(addresses: readonly FoundAddress[]): LookupFunction {
  return (_host, { all }, done) => {
    const [first] = addresses;
    if (all === true || first === undefined) done(null, [...addresses]);
    else done(null, first.address, first.family);
  };
}

async function resolve(host: string, lookup: Lookup): Promise<readonly FoundAddress[]> {
  let found: readonly FoundAddress[];
  try {
    found = await lookup(host);
  } catch (cause) {
    throw new DestinationError('unresolved', host, cause);
  }
  if (found.length === 0) throw new DestinationError('unresolved', host);
  return found;
}
