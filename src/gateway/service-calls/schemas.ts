import { z } from 'zod';

import { MAX_URL_LENGTH } from '../../http/outbound/url.ts';

const MAX_IDENTITY_LENGTH = 64;

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

const headerMembers = z.record(z.string().min(1), z.union([z.string(), z.array(z.string())]));

const target = {
  method: z.enum(METHODS).default('GET').meta({ description: 'The method.', example: 'POST' }),
  url: z.string().min(1).max(MAX_URL_LENGTH).meta({
    description:
      'Where it goes. `direct`: a URL that `COUNTERSIGN_SERVICE_HOSTS` names. `connector`: virtual host and port of an application.',
    example: 'https://api.example.com/orders',
  }),
  headers: headerMembers.default({}).meta({
    description: 'Header fields; several of one name as an array. Those of a connection and `Host` are left out.',
    example: { accept: 'application/json' },
  }),
  via: z.enum(['direct', 'connector']).default('direct').meta({ description: 'Which way it takes.' }),
  identity: z.string().min(1).max(MAX_IDENTITY_LENGTH).optional().meta({
    description: 'Which client certificate is presented, `direct` only. Left out: `default`, if there is one.',
  }),
  redirect: z.enum(['manual', 'follow']).default('manual').meta({
    description: '`manual`: a redirect is handed over as the answer. `follow`, `direct` only: it is followed.',
  }),
  stream: z
    .boolean()
    .default(false)
    .meta({ description: "Whether the service's body is handed over as it comes, instead of inside JSON." }),
};

/** What `x-service-call` holds: a call whose body is the request's own. */
export const streamedCall = z.strictObject(target).meta({ id: 'StreamedServiceCall' });

/** A call with its body inside. */
export const serviceCall = z
  .strictObject({
    ...target,
    body: z
      .union([z.string(), z.record(z.string(), z.unknown()), z.array(z.unknown())])
      .optional()
      .meta({ description: 'Text as it is; an object or array as JSON.', example: { quantity: 2 } }),
    bodyEncoding: z
      .enum(['utf8', 'base64'])
      .default('utf8')
      .meta({ description: 'How a text stands for the bytes that are sent.' }),
  })
  .meta({ id: 'ServiceCall', description: 'A call of a service.' });

/** The answer of a service, inside JSON. */
export const serviceAnswer = z
  .strictObject({
    status: z.int().min(100).max(599).meta({ description: "The service's status.", example: 201 }),
    headers: headerMembers.meta({
      description: "The service's header fields, names in lower case; several of one name as an array.",
      example: { 'content-type': 'application/json' },
    }),
    body: z.string().meta({ example: '{"id":7}' }),
    bodyEncoding: z
      .enum(['utf8', 'base64'])
      .meta({ description: '`base64` where the body is no UTF-8.', example: 'utf8' }),
  })
  .meta({ id: 'ServiceAnswer', description: 'What a service answered.' });

/** Which ways are offered. */
export const serviceCallOptions = z
  .strictObject({
    direct: z.strictObject({
      available: z.boolean().meta({ description: 'Whether any host may be called.' }),
      identities: z.array(z.string()).meta({ description: 'Names of client certificates.', example: ['default'] }),
    }),
    connector: z.strictObject({
      available: z.boolean().meta({ description: 'Whether a connector is enabled that this caller may use.' }),
    }),
  })
  .meta({ id: 'ServiceCallOptions' });

/** The public side of the client certificates. */
export const serviceIdentities = z
  .strictObject({
    identities: z.array(
      z.strictObject({
        name: z.string().meta({ example: 'default' }),
        subject: z.string().meta({ example: 'O=Example, CN=bots.example.com' }),
        issuer: z.string().meta({ example: 'O=Example, CN=Example Issuing CA' }),
        serial: z.string().meta({ description: 'Lower-case hexadecimal.', example: '4d3a01' }),
        notBefore: z.iso.datetime(),
        notAfter: z.iso.datetime(),
        certificates: z
          .string()
          .meta({ description: 'PEM: the client certificate, then what leads to its authority.' }),
      }),
    ),
  })
  .meta({ id: 'ServiceIdentities', description: 'What services need to know to accept our client certificates.' });

export type StreamedCall = z.output<typeof streamedCall>;
export type ServiceCallOptions = z.output<typeof serviceCallOptions>;
