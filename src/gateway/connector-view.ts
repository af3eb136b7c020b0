import { toIsoDate } from '../core/clock.ts';
import type { Certified } from './connector-registry.ts';
import type { ConnectorStatus } from './connector-status.ts';
import type { Caller, Connector } from './connector.ts';
import type { CallerView, CertifiedView, ConnectorView } from './schemas.ts';

/** RSA: what every openssl and every Node takes, of a size that lasts. */
const KEY = 'rsa:3072';

/**
 * The command that makes the key of a connector and the request for its certificate, in the folder where it is run.
 * The same in `sh`, `cmd.exe` and PowerShell. The subject is for people: the certificate's is set by the authority.
 */
export function toOpensslCommand(connectorId: string): string {
  const files = '-keyout Kore.aiConnector.key -out Kore.aiConnector.csr';
  return `openssl req -new -newkey ${KEY} -sha256 -nodes ${files} -subj "/CN=${connectorId}"`;
}

/** A connector as the API shows it. */
export function toConnectorView(connector: Connector, { instances, lastConnectedAt }: ConnectorStatus): ConnectorView {
  const { id, name, description, company, enabled, certificates, createdAt, updatedAt } = connector;
  return {
    id,
    name,
    description,
    company,
    enabled,
    status: instances.length > 0 ? 'CONNECTED' : 'DISCONNECTED',
    lastConnectedAt: lastConnectedAt === undefined ? null : toIsoDate(lastConnectedAt),
    instances: instances.map((instance) => ({ ...instance, connectedAt: toIsoDate(instance.connectedAt) })),
    certificates: certificates.map(({ revokedAt, ...certificate }) => ({
      ...certificate,
      issuedAt: toIsoDate(certificate.issuedAt),
      expiresAt: toIsoDate(certificate.expiresAt),
      ...(revokedAt !== undefined && { revokedAt: toIsoDate(revokedAt) }),
    })),
    opensslCommand: toOpensslCommand(id),
    createdAt: toIsoDate(createdAt),
    updatedAt: toIsoDate(updatedAt),
  };
}

/** A signed certificate as the API shows it. */
export function toCertifiedView({ certificate, ca, serial, issuedAt, expiresAt }: Certified): CertifiedView {
  return { certificate, ca, serial, issuedAt: toIsoDate(issuedAt), expiresAt: toIsoDate(expiresAt) };
}

/** A caller without its token's hash. */
export function toCallerView({ id, name, connectors, createdAt }: Caller): CallerView {
  return {
    id,
    name,
    ...(connectors && { connectors: [...connectors] }),
    createdAt: toIsoDate(createdAt),
  };
}
