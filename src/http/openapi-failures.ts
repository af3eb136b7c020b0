import { z } from 'zod';
import type { ZodOpenApiResponseObject } from 'zod-openapi';

import { AppError, type ErrorCode, ERRORS, type ErrorRow, type PublicValues } from '../core/errors.ts';
import { type ErrorRenderer, toOauthError, toSeedsError } from './respond.ts';

/** The seeds' error body. */
export const seedsErrorBody = z
  .strictObject({
    errors: z
      .array(
        z.strictObject({
          msg: z.string().meta({ description: 'What is wrong, in one sentence.' }),
          code: z.int().meta({ description: 'The HTTP status.', example: 401 }),
        }),
      )
      .min(1),
  })
  .meta({ id: 'Errors', description: 'A failure.' });

/** RFC 6749 §5.2. */
export const oauthErrorBody = z
  .strictObject({
    error: z.enum([...new Set(Object.values(ERRORS).map(({ oauth }) => oauth))]),
    error_description: z.string().meta({ description: 'What is wrong, in one sentence.' }),
  })
  .meta({ id: 'OAuthError', description: 'A failure (RFC 6749 §5.2).' });

/** The two shapes of a failure: how one is rendered, and its schema. */
const SHAPES = {
  seeds: { render: toSeedsError, schema: seedsErrorBody },
  oauth: { render: toOauthError, schema: oauthErrorBody },
} as const satisfies Record<string, { render: ErrorRenderer; schema: z.ZodType }>;

export type FailureShape = keyof typeof SHAPES;

/** What the sentences of the examples are filled with. */
const SAMPLE_VALUES: { readonly [Code in ErrorCode]?: PublicValues } = {
  malformed_body: { detail: 'a member comes twice' },
  body_too_large: { limit: 65_536 },
  invalid_request: { detail: '"name": must be one text' },
  method_not_allowed: { allow: 'POST' },
  assertion_malformed: { detail: 'the token has neither three nor five parts' },
  claim_missing: { claim: 'sub' },
  claim_invalid: { claim: 'exp', detail: 'must be a time as a number' },
  expired: { detail: '42 s ago; tolerance 15 s' },
  not_yet_valid: { claim: 'nbf', detail: '60 s ahead; tolerance 15 s' },
  lifetime_too_long: { seconds: 86_400 },
  claims_too_large: { limit: 8_192 },
  invalid_dpop_proof: { detail: 'has an "htu" other than the URL of this request' },
  connector_limit: { limit: 2 },
  certificate_limit: { limit: 128 },
  tunnel_refused: { allow: 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' },
  application_unknown: { name: 'crm.virtual' },
  application_unreachable: { name: 'CRM' },
  service_url_forbidden: { detail: 'COUNTERSIGN_SERVICE_HOSTS does not name it with this scheme and port' },
  service_unreachable: { detail: 'it refuses connections' },
  service_server_untrusted: { detail: 'it has expired' },
  service_certificate_refused: { detail: "it does not know the certificate's authority" },
  service_failed: { detail: 'its answer ended early' },
  service_answer_too_large: { limit: 1_048_576 },
  rate_limited: { seconds: 42 },
  busy: { seconds: 42 },
  client_busy: { seconds: 42 },
};

const text = { type: 'string' } as const;
const CHALLENGE = {
  description: 'The challenge (RFC 6750 §3).',
  required: true,
  schema: text,
  example: 'Bearer realm="countersign"',
};
const RETRY_AFTER = {
  description: 'When to try again, in seconds.',
  required: true,
  schema: { type: 'integer', minimum: 1 },
  example: 1,
} as const;

/** Header fields that come with a status. */
const HEADERS: Readonly<Record<number, NonNullable<ZodOpenApiResponseObject['headers']>>> = {
  401: { 'WWW-Authenticate': CHALLENGE },
  429: { 'Retry-After': RETRY_AFTER },
  503: { 'Retry-After': RETRY_AFTER },
};

/** One row of the table of failures as its answer. */
export function toFailureExample(
  shape: FailureShape,
  code: ErrorCode,
): { readonly status: number; readonly body: object } {
  return SHAPES[shape].render(new AppError(code, { values: SAMPLE_VALUES[code] ?? {} }));
}

/**
 * A response of the API description for failures that have one status in common; each is an example under its code.
 * @throws TypeError when their statuses differ
 */
export function describeFailures(
  id: string,
  shape: FailureShape,
  codes: readonly ErrorCode[],
): ZodOpenApiResponseObject {
  const rendered = codes.map((code) => ({ code, ...toFailureExample(shape, code) }));
  const [status = 500, ...others] = [...new Set(rendered.map((one) => one.status))];
  if (others.length > 0) throw new TypeError(`${id}: failures of several statuses`);
  const sentences = codes.map((code) => `- \`${code}\`: ${toRow(code).msg}`);
  const headers = HEADERS[status];
  return {
    id,
    description: sentences.join('\n'),
    ...(headers && { headers }),
    content: {
      'application/json': {
        schema: SHAPES[shape].schema,
        examples: Object.fromEntries(
          rendered.map(({ code, body }) => [code, { summary: toRow(code).msg, value: body }]),
        ),
      },
    },
  };
}

const toRow = (code: ErrorCode): ErrorRow => ERRORS[code];
