import type { Logger } from '../../http/access-log.ts';
import { MAX_REQUEST_PEM_BYTES, RENEWAL_PATH } from '../../tunnel/services.ts';
import { AppError } from '../../core/errors.ts';
import type { ConnectorRegistry } from '../connector-registry.ts';
import type { Service } from './service.ts';

export interface RenewalDeps {
  readonly connectors: Pick<ConnectorRegistry, 'renewCertificate'>;
  readonly logger: Pick<Logger, 'info'>;
}

/**
 * Signs a new key of a connector.
 * SECURITY: for whom is told by the certificate that the connection was made with, never by what is asked.
 */
export function createRenewalService({ connectors, logger }: RenewalDeps): Service {
  return {
    maxBytes: MAX_REQUEST_PEM_BYTES,
    serve: async ({ agent: { connectorId, serial }, head, body }) => {
      if (head.target !== RENEWAL_PATH) throw new AppError('not_found');
      const renewed = await connectors.renewCertificate(connectorId, serial, body.toString('utf8'));
      logger.info({ connectorId, from: serial, serial: renewed.serial, expiresAt: renewed.expiresAt }, 'certificate renewed'); // prettier-ignore
      return { status: 200, fields: ['Content-Type', 'application/x-pem-file'], body: renewed.certificate };
    },
  };
}
