import { z } from 'zod';

import { describeFailures } from '../http/openapi-failures.ts';
import { HEADERS_TOO_LARGE, IDPROXY_SERVER, SEEDS } from '../http/openapi-responses.ts';

/** What every operation on connectors and callers has. */
export const ADMIN = { tags: ['Connectors'], security: [{ adminToken: [] }] };
export const ADMIN_SERVERS = [IDPROXY_SERVER];
export const ADMIN_FAILURES = {
  401: SEEDS.credential,
  429: SEEDS.tooMany,
  431: HEADERS_TOO_LARGE,
  500: SEEDS.internal,
  503: SEEDS.unavailable,
};
export const CONNECTOR_NOT_FOUND = describeFailures('ConnectorNotFound', 'seeds', ['connector_not_found']);
export const CONNECTOR_CONFLICT = describeFailures('ConnectorConflict', 'seeds', ['connector_conflict']);
export const LOCATION = {
  Location: { description: 'Where it is.', required: true, schema: { type: 'string' } },
} as const;

export const ofConnector = z.object({
  id: z.string().meta({ description: 'The id of a connector.', example: 'cn-4ac1a8a2-5f09-4a6b-9d3f-0d7b4c2f1e55' }),
});

/** A sample of curl with the admin token, and one that sends JSON. */
export const asAdmin = (rest: string): string =>
  `printf 'authorization: Bearer %s' "$ADMIN_TOKEN" | curl -s -H @- ${rest}`;
export const asJson = (path: string, json: string, method = ''): string =>
  asAdmin(`${method}"$IDPROXY${path}" \\\n  -H 'content-type: application/json' -d '${json}'`);
