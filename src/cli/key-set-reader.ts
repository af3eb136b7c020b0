import { lookup } from 'node:dns/promises';

import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/config-error.ts';
import { createGetText, type GetText } from '../http/outbound/get-text.ts';
import { createReachableHosts, HostListError } from '../http/outbound/reachable-hosts.ts';

/**
 * What reads the key sets of apps that have a URL in place of a key.
 * @throws ConfigError that names the entries of `COUNTERSIGN_JWKS_HOSTS`
 */
export function createKeySetReader({ jwksHosts }: Config): GetText {
  try {
    return createGetText({
      lookup: (host) => lookup(host, { all: true, verbatim: true }),
      mayReach: createReachableHosts(jwksHosts),
    });
  } catch (error) {
    throw error instanceof HostListError ? new ConfigError([`COUNTERSIGN_JWKS_HOSTS: ${error.message}`]) : error;
  }
}
