import { z } from 'zod';

import { list, port, webhookSecret, wholeNumber } from './fields.ts';

/** The variables of connectors, of the gateway and of service calls. */
export const GATEWAY_VARIABLES = {
  COUNTERSIGN_GATEWAY_AGENT_PORT: port()
    .default(8443)
    .describe("The gateway's port for connectors and for other gateways; always two-way TLS."),
  COUNTERSIGN_GATEWAY_CALLER_PORT: port()
    .default(8081)
    .describe("The gateway's port for callers: forward proxy, reverse route, service calls."),
  COUNTERSIGN_GATEWAY_NAMES: list()
    .default([])
    .describe(
      "Host names and addresses that the gateway's own certificate is for. `localhost` and `127.0.0.1` always are.",
    ),
  COUNTERSIGN_GATEWAY_URLS: list()
    .default([])
    .describe(
      'Where connectors reach the gateways, `https://gateway.example:8443`; goes into the packages that are handed out. Unset: the first name and the agent port.',
    ),
  COUNTERSIGN_GATEWAY_NODE_ADDRESS: z
    .string()
    .optional()
    .describe(
      'Under what `host:port` other gateways on the same Redis reach the agent port of this one. Unset: the address it listens on.',
    ),
  COUNTERSIGN_GATEWAY_CALLS_PER_CALLER: wholeNumber(1, 100_000)
    .default(200)
    .describe(
      'Requests and web sockets of one caller that one gateway relays at one time; further ones are 503 `busy`. A worker of an agent opens 256 connections to an application: below that, one caller alone never keeps the others from it.',
    ),
  COUNTERSIGN_CONNECTORS_PER_COMPANY: wholeNumber(1, 1_000)
    .default(2)
    .describe('Connectors that one company may have.'),
  COUNTERSIGN_SERVICE_TLS_DIR: z
    .string()
    .optional()
    .describe(
      'The folder of the client certificates that service calls present: one folder an identity, `default` among them (docs/service-calls.md).',
    ),
  COUNTERSIGN_SERVICE_HOSTS: list()
    .default([])
    .describe(
      'Where direct service calls may go: `api.example.com`, `*.example.com`, `host:port`. An address of a private network only where it is named itself.',
    ),
  COUNTERSIGN_WEBHOOK_TARGETS: list()
    .default([])
    .describe(
      'Where webhooks that connectors push may be delivered: `name=https://…`; the connector names the target by its name.',
    ),
  COUNTERSIGN_WEBHOOK_SECRET: webhookSecret()
    .optional()
    .describe('Signs delivered webhooks (Standard Webhooks). `whsec_` and base64, or text; 32 bytes at least.'),
  COUNTERSIGN_CONNECTOR_GATEWAY_URLS: list()
    .default([])
    .describe(
      '`countersign connector`, and it alone: the gateways that it dials, `https://gateway.example:8443`, where its own `connectorconfig.json` names none. They come before those of the package.',
    ),
} as const satisfies Record<string, z.ZodType>;
