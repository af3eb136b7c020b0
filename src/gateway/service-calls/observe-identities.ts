import { Gauge, type Registry } from 'prom-client';

import type { ServiceIdentities } from './identities.ts';

/** Shows when each certificate ends, for alerts. */
export function observeIdentities(registry: Registry, identities: ServiceIdentities): void {
  const gauge = new Gauge({
    name: 'countersign_service_identity_expiry_timestamp_seconds',
    help: 'When the client certificate of an identity ends, in seconds since the epoch.',
    labelNames: ['identity'],
    registers: [registry],
    collect: () => {
      gauge.reset();
      for (const { name, notAfter } of identities.list()) gauge.set({ identity: name }, Date.parse(notAfter) / 1000);
    },
  });
}
