import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';

import {
  GATEWAY_SERVER,
  HEADERS_TOO_LARGE,
  IDPROXY_SERVER,
  ISSUER_SERVER,
  SEEDS,
  toCurlSample,
  toJsonResponse,
} from './openapi-responses.ts';

const health = z.strictObject({ status: z.literal('ok') }).meta({ id: 'Health' });

const readiness = z
  .strictObject({
    status: z.enum(['ok', 'unavailable']),
    checks: z.record(z.string(), z.string()).meta({
      description: 'Each dependency: `ok`, or a sentence that says what is wrong.',
      example: { store: 'ok', keys: 'ok' },
    }),
  })
  .meta({ id: 'Readiness' });

const servers = [ISSUER_SERVER, IDPROXY_SERVER, GATEWAY_SERVER];

/** What every server answers about itself. */
export const HEALTH_PATHS: ZodOpenApiPathsObject = {
  '/healthz': {
    servers,
    get: {
      operationId: 'getHealth',
      tags: ['Operations'],
      summary: 'Whether the process lives',
      description: 'Asks nothing of what the server depends on: for restarting a process that hangs.',
      security: [],
      responses: { 200: toJsonResponse('It lives.', health), 431: HEADERS_TOO_LARGE },
      ...toCurlSample('curl -s "$ISSUER/healthz"'),
    },
  },
  '/readyz': {
    servers,
    get: {
      operationId: 'getReadiness',
      tags: ['Operations'],
      summary: 'Whether requests can be answered',
      description: 'Names every dependency and what is wrong with it: for taking a server out of a load balancer.',
      security: [],
      responses: {
        200: toJsonResponse('All is well.', readiness),
        431: HEADERS_TOO_LARGE,
        503: toJsonResponse('Something that the server depends on does not work.', readiness),
      },
      ...toCurlSample('curl -s "$IDPROXY/readyz"'),
    },
  },
  '/metrics': {
    servers,
    get: {
      operationId: 'getMetrics',
      tags: ['Operations'],
      summary: 'Counters and times for Prometheus',
      description: 'Open, unless `COUNTERSIGN_METRICS_TOKEN` is set. No label names a user, a client or a token.',
      security: [{}, { metricsToken: [] }],
      responses: {
        200: {
          description: 'The text exposition format.',
          content: {
            'text/plain': {
              schema: { type: 'string' },
              example: 'countersign_assertions_total{outcome="granted"} 1\n',
            },
          },
        },
        401: SEEDS.credential,
        431: HEADERS_TOO_LARGE,
      },
      ...toCurlSample('curl -s "$IDPROXY/metrics"'),
    },
  },
};
