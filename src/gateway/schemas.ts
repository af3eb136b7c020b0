import { z } from 'zod';

import { isUnfitForName } from '../core/name.ts';
import { MAX_CSR_LENGTH } from './certificates/certificate-request.ts';
import { PACKAGE_SYSTEMS } from './packages/build-package.ts';

/** What people call a connector or a caller, in characters. */
export const MAX_CONNECTOR_NAME_LENGTH = 128;
/** The description of a connector, in characters. */
export const MAX_DESCRIPTION_LENGTH = 1_024;
/** A company's name, in characters: as much as an X.509 organization name has (RFC 5280, ub-organization-name). */
export const MAX_COMPANY_LENGTH = 64;
/** Connectors that one caller is bound to, at most. */
export const MAX_CALLER_CONNECTORS = 100;

/** The company of connectors for which none was named. */
export const DEFAULT_COMPANY = 'default';
const DEFAULT_NAME = 'Connector';
const ID_EXAMPLE = 'cn-4ac1a8a2-5f09-4a6b-9d3f-0d7b4c2f1e55';
const CALLER_ID_EXAMPLE = 'cl-0f6b1f5e-6d0c-4d52-9f7e-6a4f0a1b2c3d';
const SERIAL_EXAMPLE = '5f1d2c3b4a59687786958493a2b1c0de';

const text = (maxLength: number) =>
  z
    .string()
    .trim()
    .max(maxLength)
    .refine((value) => !isUnfitForName(value), 'has characters that no name may have');

const name = text(MAX_CONNECTOR_NAME_LENGTH).min(1).meta({ description: 'What people call it.', example: 'Intranet' });
const description = text(MAX_DESCRIPTION_LENGTH).meta({ description: 'For people.', example: 'CRM and ticket system' });
const company = text(MAX_COMPANY_LENGTH)
  .min(1)
  .meta({ description: 'Whose it is. Of the connectors of one company one is enabled at a time.', example: 'default' });

const connectorId = z
  .string()
  .regex(/^cn-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/, 'must be the id of a connector')
  .meta({ description: 'The unique id of a connector.', example: ID_EXAMPLE });

/** What `POST /admin/connectors` takes. */
export const connectorRequest = z
  .strictObject({
    name: name.default(DEFAULT_NAME),
    description: description.default(''),
    company: company.default(DEFAULT_COMPANY),
  })
  .meta({ id: 'ConnectorRequest', description: 'A new connector.' });

/** What `PATCH /admin/connectors/:id` takes. */
export const connectorPatch = z
  .strictObject({ name, description })
  .partial()
  .meta({ id: 'ConnectorPatch', description: 'Changes to a connector.' });

/** What `POST /admin/connectors/:id/certificate` takes. */
export const certificateRequest = z
  .strictObject({
    csr: z
      .string()
      .min(1)
      .max(MAX_CSR_LENGTH)
      .meta({
        description:
          'The content of `Kore.aiConnector.csr`: PKCS #10 in PEM, for an RSA key of 2048 to 8192 bits or an EC key on P-256, ' +
          'P-384 or P-521. Names and extensions that it asks for are ignored.',
      }),
  })
  .meta({ id: 'CertificateRequest', description: 'A certificate signing request.' });

/** What may follow `/admin/connectors/:id/package`. */
export const packageQuery = z.strictObject({
  os: z.enum(PACKAGE_SYSTEMS).default('linux').meta({ description: '`linux`: a tar.gz; `windows`: a zip.' }),
});

const serial = z.string().meta({ description: 'The serial number, hexadecimal.', example: SERIAL_EXAMPLE });
const pem = z
  .string()
  .meta({ description: 'PEM.', example: '-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n' });

const certificateView = z
  .strictObject({
    serial,
    issuedAt: z.iso.datetime(),
    expiresAt: z.iso.datetime(),
    revokedAt: z.iso.datetime().optional(),
    renewedFrom: z.string().optional().meta({ description: 'The serial that asked for this one over the tunnel.' }),
  })
  .meta({ id: 'ConnectorCertificate', description: 'A certificate that was signed for a connector.' });

const instanceView = z
  .strictObject({
    node: z.string().meta({ description: 'The gateway that it is connected to.' }),
    instance: z.string().meta({ description: 'One start of one agent on one server.' }),
    worker: z.int(),
    hostname: z.string(),
    version: z.string(),
    connectedAt: z.iso.datetime(),
  })
  .meta({ id: 'ConnectorInstance', description: 'An agent that is connected.' });

/** A connector as the API shows it. */
export const connectorView = z
  .strictObject({
    id: connectorId,
    name,
    description,
    company,
    enabled: z.boolean().meta({ description: 'Whether requests may go through it. It may connect before.' }),
    status: z.enum(['CONNECTED', 'DISCONNECTED']),
    lastConnectedAt: z.iso.datetime().nullable().meta({ description: 'When an agent last connected; null for never.' }),
    instances: z.array(instanceView),
    certificates: z.array(certificateView),
    opensslCommand: z.string().meta({
      description:
        'Run it in the folder `credentials` of the agent: it makes `Kore.aiConnector.key` and `Kore.aiConnector.csr`.',
    }),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Connector', description: 'A registered connector.' });

export const connectorList = z.strictObject({ connectors: z.array(connectorView) }).meta({ id: 'ConnectorList' });

/** The answer to a certificate signing request. */
export const certifiedView = z
  .strictObject({
    certificate: pem.meta({ description: 'What becomes `Kore.aiConnectorCert.pem`.' }),
    ca: pem.meta({ description: "What is `ca.crt` in the agent's package: the authority's certificate." }),
    serial,
    issuedAt: z.iso.datetime(),
    expiresAt: z.iso.datetime(),
  })
  .meta({ id: 'SignedCertificate', description: 'A signed certificate.' });

/** What `POST /admin/callers` takes. */
export const callerRequest = z
  .strictObject({
    name,
    connectors: z
      .array(connectorId)
      .min(1)
      .max(MAX_CALLER_CONNECTORS)
      .optional()
      .meta({ description: 'The connectors that it may use; all where it is left out.' }),
  })
  .meta({ id: 'CallerRequest', description: 'A new caller of the gateway.' });

/** A caller as the API shows it. */
export const callerView = z
  .strictObject({
    id: z.string().meta({ description: 'The id of a caller.', example: CALLER_ID_EXAMPLE }),
    name,
    connectors: z.array(connectorId).optional(),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'Caller', description: 'Who may call through the gateway. No token is ever in it.' });

/** The answer to a registration: the only time that the token is shown. */
export const callerCreated = callerView
  .extend({ token: z.string().meta({ description: 'Shown once: what stands in `Proxy-Authorization: Bearer …`.' }) })
  .meta({ id: 'CallerCreated', description: 'A newly registered caller.' });

export const callerList = z.strictObject({ callers: z.array(callerView) }).meta({ id: 'CallerList' });

export type ConnectorRequest = z.output<typeof connectorRequest>;
export type ConnectorPatch = z.output<typeof connectorPatch>;
export type ConnectorView = z.output<typeof connectorView>;
export type CertifiedView = z.output<typeof certifiedView>;
export type CallerRequest = z.output<typeof callerRequest>;
export type CallerView = z.output<typeof callerView>;
