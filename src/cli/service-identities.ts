import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/config-error.ts';
import { systemClock } from '../core/clock.ts';
import { HostRuleError, type HostRules, parseHostRules } from '../gateway/service-calls/host-rules.ts';
import { loadServiceIdentities, NO_IDENTITIES, type ServiceIdentities } from '../gateway/service-calls/identities.ts';
import { observeIdentities } from '../gateway/service-calls/observe-identities.ts';
import type { ServerBase } from './runtime.ts';

/** The client certificates of service calls, followed in their folder. Whoever loads them closes them. */
export async function loadIdentities({ serviceTlsDir }: Config, base: ServerBase): Promise<ServiceIdentities> {
  if (serviceTlsDir === undefined) return NO_IDENTITIES;
  const identities = await loadServiceIdentities(serviceTlsDir, { clock: systemClock, logger: base.logger });
  observeIdentities(base.metrics.registry, identities);
  return identities;
}

/** Where direct service calls may go. @throws ConfigError */
export function readHostRules({ serviceHosts }: Config): HostRules {
  try {
    return parseHostRules(serviceHosts);
  } catch (error) {
    if (!(error instanceof HostRuleError)) throw error;
    throw new ConfigError([`COUNTERSIGN_SERVICE_HOSTS: ${error.message}`]);
  }
}
