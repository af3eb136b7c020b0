import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';

import { describeFailures } from '../http/openapi-failures.ts';
import { SEEDS, toBodyFailures, toCurlSample, toJsonResponse, toRequestBody } from '../http/openapi-responses.ts';
import {
  ADMIN,
  ADMIN_FAILURES,
  ADMIN_SERVERS,
  asAdmin,
  CONNECTOR_CONFLICT,
  CONNECTOR_NOT_FOUND,
  ofConnector,
} from './admin-operation.ts';
import { toOpensslCommand } from './connector-view.ts';
import { certificateRequest, certifiedView, connectorView, packageQuery } from './schemas.ts';

const ofCertificate = ofConnector.extend({
  serial: z.string().meta({ description: 'A serial number.', example: '5f1d2c3b4a59687786958493a2b1c0de' }),
});
/** What a server needs to become a connector: a certificate, and the agent. */
export const CERTIFICATE_PATHS: ZodOpenApiPathsObject = {
  '/admin/connectors/{id}/certificate': {
    servers: ADMIN_SERVERS,
    post: {
      ...ADMIN,
      operationId: 'certifyConnector',
      summary: 'Sign a certificate for a connector',
      description:
        'Signs the key of a certificate signing request, for this connector and 90 days. Certificates that were signed before ' +
        'stay valid: each server may have its own.',
      requestParams: { path: ofConnector },
      requestBody: toRequestBody(certificateRequest),
      responses: {
        200: toJsonResponse('The certificate, and whose signature it bears.', certifiedView),
        400: SEEDS.badRequest,
        404: CONNECTOR_NOT_FOUND,
        409: describeFailures('CertificateConflict', 'seeds', ['certificate_limit', 'connector_conflict']),
        ...toBodyFailures(SEEDS),
        ...ADMIN_FAILURES,
      },
      ...toCurlSample(
        `${toOpensslCommand('$CONNECTOR_ID').replace('-out', '\\\n  -out')} && \\\n` +
          asAdmin(
            '"$IDPROXY/admin/connectors/$CONNECTOR_ID/certificate" \\\n  --data-urlencode csr@Kore.aiConnector.csr',
          ),
      ),
    },
  },
  '/admin/connectors/{id}/certificates/{serial}/revoke': {
    servers: ADMIN_SERVERS,
    post: {
      ...ADMIN,
      operationId: 'revokeCertificate',
      summary: 'Revoke a certificate',
      description:
        'The certificate and all that were renewed from it are not accepted any more; connections that were opened by them are closed.',
      requestParams: { path: ofCertificate },
      responses: {
        200: toJsonResponse('The connector as it is now.', connectorView),
        400: SEEDS.badPath,
        404: describeFailures('CertificateNotFound', 'seeds', ['connector_not_found', 'certificate_not_found']),
        409: CONNECTOR_CONFLICT,
        ...ADMIN_FAILURES,
      },
      ...toCurlSample(asAdmin('-X POST "$IDPROXY/admin/connectors/$CONNECTOR_ID/certificates/$SERIAL/revoke"')),
    },
  },
  '/admin/connectors/{id}/package': {
    servers: ADMIN_SERVERS,
    get: {
      ...ADMIN,
      operationId: 'downloadConnector',
      summary: 'Download the agent of a connector',
      description: "The agent with the authority's certificate, the gateway's address and the connector's id in it.",
      requestParams: { path: ofConnector, query: packageQuery },
      responses: {
        200: {
          description: 'The package, as an attachment.',
          headers: {
            'Content-Disposition': { description: 'Its file name.', required: true, schema: { type: 'string' } },
          },
          content: {
            'application/gzip': { schema: { type: 'string', format: 'binary' } },
            'application/zip': { schema: { type: 'string', format: 'binary' } },
          },
        },
        400: SEEDS.badPath,
        404: CONNECTOR_NOT_FOUND,
        ...ADMIN_FAILURES,
      },
      ...toCurlSample(asAdmin('-o kore-connector.tar.gz "$IDPROXY/admin/connectors/$CONNECTOR_ID/package?os=linux"')),
    },
  },
};
