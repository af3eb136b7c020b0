import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';

import { describeFailures } from '../http/openapi-failures.ts';
import { SEEDS, toBodyFailures, toCurlSample, toJsonBody, toJsonResponse } from '../http/openapi-responses.ts';
import {
  ADMIN,
  ADMIN_FAILURES,
  ADMIN_SERVERS,
  asAdmin,
  asJson,
  CONNECTOR_CONFLICT,
  CONNECTOR_NOT_FOUND,
  LOCATION,
  ofConnector,
} from './admin-operation.ts';
import { CALLER_PATHS } from './caller-paths.ts';
import { CERTIFICATE_PATHS } from './certificate-paths.ts';
import { connectorList, connectorPatch, connectorRequest, connectorView } from './schemas.ts';

/** What a connector answers to a request without a body. */
const toAct = (act: 'enable' | 'disable', description: string): ZodOpenApiOperationObject => ({
  ...ADMIN,
  operationId: `${act}Connector`,
  summary: act === 'enable' ? 'Enable a connector' : 'Disable a connector',
  description,
  requestParams: { path: ofConnector },
  responses: {
    200: toJsonResponse('The connector as it is now.', connectorView),
    400: SEEDS.badPath,
    404: CONNECTOR_NOT_FOUND,
    409: CONNECTOR_CONFLICT,
    ...ADMIN_FAILURES,
  },
  ...toCurlSample(asAdmin(`-X POST "$IDPROXY/admin/connectors/$CONNECTOR_ID/${act}"`)),
});

/** Connectors and callers of the gateway, for the admin. */
export const GATEWAY_PATHS: ZodOpenApiPathsObject = {
  '/admin/connectors': {
    servers: ADMIN_SERVERS,
    get: {
      ...ADMIN,
      operationId: 'listConnectors',
      summary: 'List the connectors',
      description: 'Every connector with its status, oldest first.',
      responses: { 200: toJsonResponse('The connectors.', connectorList), ...ADMIN_FAILURES },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/connectors"')),
    },
    post: {
      ...ADMIN,
      operationId: 'createConnector',
      summary: 'Add a connector',
      description:
        'Makes its unique id, and the command that makes key and certificate signing request where the agent is. A company may ' +
        'have as many as `COUNTERSIGN_CONNECTORS_PER_COMPANY` says.',
      requestBody: toJsonBody(connectorRequest),
      responses: {
        201: { ...toJsonResponse('The connector; it is disabled.', connectorView), headers: LOCATION },
        400: SEEDS.badRequest,
        409: describeFailures('ConnectorLimit', 'seeds', ['connector_limit', 'connector_conflict']),
        ...toBodyFailures(SEEDS),
        ...ADMIN_FAILURES,
      },
      ...toCurlSample(asJson('/admin/connectors', '{"name":"Intranet","company":"example"}')),
    },
  },
  '/admin/connectors/{id}': {
    servers: ADMIN_SERVERS,
    get: {
      ...ADMIN,
      operationId: 'getConnector',
      summary: 'Show a connector',
      description: 'A connector, its status, its certificates and the agents that are connected.',
      requestParams: { path: ofConnector },
      responses: {
        200: toJsonResponse('The connector.', connectorView),
        400: SEEDS.badPath,
        404: CONNECTOR_NOT_FOUND,
        ...ADMIN_FAILURES,
      },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/connectors/$CONNECTOR_ID"')),
    },
    patch: {
      ...ADMIN,
      operationId: 'updateConnector',
      summary: 'Change a connector',
      description: 'Its name and its description.',
      requestParams: { path: ofConnector },
      requestBody: toJsonBody(connectorPatch),
      responses: {
        200: toJsonResponse('The connector as it is now.', connectorView),
        400: SEEDS.badRequest,
        404: CONNECTOR_NOT_FOUND,
        409: CONNECTOR_CONFLICT,
        ...toBodyFailures(SEEDS),
        ...ADMIN_FAILURES,
      },
      ...toCurlSample(asJson('/admin/connectors/$CONNECTOR_ID', '{"description":"CRM"}', '-X PATCH ')),
    },
    delete: {
      ...ADMIN,
      operationId: 'deleteConnector',
      summary: 'Delete a connector',
      description: 'Its agents are disconnected, and none of its certificates is accepted any more.',
      requestParams: { path: ofConnector },
      responses: {
        204: { description: 'It is gone.' },
        400: SEEDS.badPath,
        404: CONNECTOR_NOT_FOUND,
        409: CONNECTOR_CONFLICT,
        ...ADMIN_FAILURES,
      },
      ...toCurlSample(asAdmin('-X DELETE "$IDPROXY/admin/connectors/$CONNECTOR_ID"')),
    },
  },
  '/admin/connectors/{id}/enable': {
    servers: ADMIN_SERVERS,
    post: toAct('enable', 'Requests may go through it from now on. All other connectors of its company are disabled.'),
  },
  '/admin/connectors/{id}/disable': {
    servers: ADMIN_SERVERS,
    post: toAct('disable', 'No request goes through it any more; its agents stay connected.'),
  },
  ...CERTIFICATE_PATHS,
  ...CALLER_PATHS,
};
