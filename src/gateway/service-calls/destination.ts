import { AppError } from '../../core/errors.ts';
import {
  DestinationError,
  findAllowedAddresses,
  type FoundAddress,
  type Lookup,
} from '../../http/outbound/destination.ts';
import type { HostRules } from './host-rules.ts';
import type { ServiceUrl } from './service-url.ts';

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
  try {
    return await findAllowedAddresses(url.host, isAllowed, lookup);
  } catch (error) {
    if (!(error instanceof DestinationError)) throw error;
    const { reason, message: detail, cause } = error;
    if (reason === 'forbidden') throw forbidden('the name leads to an address that is not allowed', detail);
    throw new AppError('service_unreachable', { values: { detail: 'its name has no address' }, detail, cause });
  }
}

function forbidden(sentence: string, detail: string): AppError {
  return new AppError('service_url_forbidden', { values: { detail: sentence }, detail });
}
