import { stringify } from 'yaml';
import { createDocument } from 'zod-openapi';

import packageJson from '../package.json' with { type: 'json' };
import { APP_PATHS } from '../src/apps/paths.ts';
import { PLATFORM_KEY_PATHS } from '../src/apps/platform-keys/paths.ts';
import { type ErrorCode, ERRORS } from '../src/core/errors.ts';
import { GATEWAY_PATHS } from '../src/gateway/paths.ts';
import { SERVICE_CALL_PATHS } from '../src/gateway/service-calls/paths.ts';
import { GATEWAY_SERVER, IDPROXY_SERVER, ISSUER_SERVER } from '../src/http/openapi-responses.ts';
import { AUDIT_PATHS } from '../src/http/audit-paths.ts';
import { HEALTH_PATHS } from '../src/http/paths.ts';
import { EXPLAIN_PATHS } from '../src/idproxy/explain-paths.ts';
import { IDPROXY_PATHS } from '../src/idproxy/paths.ts';
import { IDENTITY_PATHS } from '../src/sessions/identity-paths.ts';
import { SESSION_PATHS } from '../src/sessions/paths.ts';
import { ISSUER_PATHS } from '../src/issuer/paths.ts';

/** Failures that belong to no operation, since they tell that there is none. */
const OUTSIDE_OPERATIONS = ['not_found', 'method_not_allowed'] as const;

/** Failures of relayed requests: the paths, the methods and all other answers are the applications' own. */
const OF_RELAYING = [
  'invalid_request',
  'credential_missing',
  'credential_invalid',
  'connector_forbidden',
  'application_unknown',
  'path_forbidden',
  'tunnel_refused',
  'head_too_large',
  'caller_credential',
  'internal',
  'application_unreachable',
  'application_failed',
  'connector_lost',
  'connector_unavailable',
  'store_unavailable',
  'application_timeout',
] as const satisfies readonly ErrorCode[];

const GLOSSARY: Readonly<Record<string, string>> = {
  assertion: 'a signed JWT, or a JWE around one, that says who the user is; minted by the issuer, presented once',
  claims: 'the members of an assertion',
  issuer: "the customer's server, which mints assertions; also the claim `iss`, which holds the client id",
  subject: 'the user: the claim `sub`',
  audience: 'for whom an assertion is: the claim `aud`',
  idproxy: "the platform's server, which verifies assertions and exchanges them for bearers",
  app: 'an SDK app: what is registered of a client, its key and its rules',
  user: 'a subject of one app: known, and kept until erased, or anonymous, and gone minutes after the session',
  'client id': 'the name of an app, `cs-<uuid>`',
  bearer: 'an opaque token that stands for a session; whoever holds it is the user',
  introspection: 'asking what a bearer stands for (RFC 7662)',
  revocation: 'ending a bearer before its time (RFC 7009)',
  connector:
    'an agent behind a firewall, which dials out to the gateway and lets through what its access control allows',
  gateway: "the platform's server that connectors dial, and that relays requests of callers to them",
  replay: 'a second presentation of an assertion with a `jti`; it is refused',
  JWKS: 'a set of public keys (RFC 7517)',
};

const VARIABLES: Readonly<Record<string, string>> = {
  ISSUER: `where the issuer is: \`${ISSUER_SERVER.url}\``,
  IDPROXY: `where the idproxy is: \`${IDPROXY_SERVER.url}\``,
  JWT: 'a fresh assertion, from the first sample',
  BEARER: 'a bearer, from `POST /authorize`',
  GATEWAY: `where the gateway's port for callers is: \`${GATEWAY_SERVER.url}\``,
  ADMIN_TOKEN: 'the admin token: printed by the first start, or `COUNTERSIGN_ADMIN_TOKEN`',
  CLIENT_ID: 'the client id of an app, from `POST /admin/apps`',
  USER_ID: 'the user id of a user, from `POST /admin/identities`',
  CONNECTOR_ID: 'the `id` of a connector, from `POST /admin/connectors`',
  SERIAL: 'the `serial` of a certificate, from `POST /admin/connectors/{id}/certificate`',
  CALLER_ID: 'the `id` of a caller, from `POST /admin/callers`',
  CALLER_TOKEN: 'the `token` of a caller, from `POST /admin/callers`',
  SERVICE_URL: 'the URL of a service that `COUNTERSIGN_SERVICE_HOSTS` names',
  SESSION_ID: 'the `session_id` of a bearer, from `POST /oauth/introspect`',
};

const toList = (rows: Readonly<Record<string, string>>, mark: string): string =>
  Object.entries(rows).map(([name, meaning]) => `- ${mark}${name}${mark}: ${meaning}`).join('\n'); // prettier-ignore

const toFailureList = (codes: readonly ErrorCode[]): string =>
  codes.map((code) => `- ${ERRORS[code].status} \`${code}\`: ${ERRORS[code].msg}`).join('\n');

const DESCRIPTION = `An issuer signs who the user is; the idproxy checks the signature once and countersigns it with a bearer.

## Failures

Always JSON: \`{"errors":[{"msg","code"}]}\`, where \`code\` is the HTTP status; on \`/oauth/*\` \`{"error","error_description"}\`
(RFC 6749 §5.2). Client-facing routes never answer 429: where there are too many requests they answer 503 with \`Retry-After\`.
The examples of a response are all the failures that have its status. On any path besides:

${toFailureList(OUTSIDE_OPERATIONS)}

Every answer has an \`x-request-id\`, which the log has too; JSON answers are not to be stored (\`Cache-Control: no-store\`).
\`OPTIONS\` is answered on every path that a page may call, for the configured origins. The page that \`countersign start\`
serves at the issuer's \`/\` is for people and no part of the API.

The web socket that \`POST /api/rtm/start\` leads to is described in \`docs/asyncapi.yaml\`.

## Relaying

The gateway's port for callers relays requests to applications behind a connector, in two ways that are no operations, since
path, method and answer are the application's:

- as a forward proxy, in absolute form, with the caller's token in \`Proxy-Authorization\` (Bearer, or Basic as the user's name);
  \`X-Connector\` names a connector where the caller may use several:
  \`printf 'proxy-user = "%s:"' "$CALLER_TOKEN" | curl -s -K - -x "$GATEWAY" http://crm.virtual:8080/api/orders\`
- at \`/{connector}/{virtualhost}/{virtualport}/path\`, with the token in \`X-Connector-Authorization\` alike.

An answer with \`X-Connector-Error\` is the gateway's or the connector's own, in the shape above, and the field holds the name of
the failure; any other answer is the application's:

${toFailureList(OF_RELAYING)}

An answer that ends early is cut, never completed.

## Samples

The samples are for a shell with these variables. \`printf\` is part of the shell: what goes through a pipe is in no process list.

${toList(VARIABLES, '`')}

## Glossary

${toList(GLOSSARY, '**')}
`;

/** The API description as it is committed. */
export function createOpenapiYaml(): string {
  const document = createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Countersign',
      version: packageJson.version,
      description: DESCRIPTION,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [ISSUER_SERVER, IDPROXY_SERVER, GATEWAY_SERVER],
    tags: [
      { name: 'Issuer', description: "The customer's side: minting assertions." },
      { name: 'Exchange', description: "The platform's side: assertions in, bearers out." },
      { name: 'OAuth', description: 'The same in the shapes of RFC 6749, RFC 7523, RFC 7662 and RFC 7009.' },
      { name: 'Bearer', description: 'What a bearer opens.' },
      { name: 'Discovery', description: 'Keys and addresses.' },
      { name: 'Registration', description: 'SDK apps, for the admin.' },
      { name: 'Keys', description: 'Keys of the platform, for the admin.' },
      { name: 'Identities', description: 'Users of the apps, for the admin.' },
      { name: 'Connectors', description: 'Connectors and callers of the gateway, for the admin.' },
      { name: 'Service calls', description: 'Calls of services, with two-way TLS or through a connector.' },
      { name: 'Operations', description: 'For whoever runs the servers.' },
    ],
    paths: {
      ...ISSUER_PATHS,
      ...IDPROXY_PATHS,
      ...EXPLAIN_PATHS,
      ...SESSION_PATHS,
      ...APP_PATHS,
      ...PLATFORM_KEY_PATHS,
      ...IDENTITY_PATHS,
      ...GATEWAY_PATHS,
      ...SERVICE_CALL_PATHS,
      ...AUDIT_PATHS,
      ...HEALTH_PATHS,
    },
    components: {
      securitySchemes: {
        adminToken: {
          type: 'http',
          scheme: 'bearer',
          description: '`COUNTERSIGN_ADMIN_TOKEN`, or what the first start printed.',
        },
        bearer: { type: 'http', scheme: 'bearer', description: 'What an exchange granted.' },
        boundBearer: {
          type: 'http',
          scheme: 'DPoP',
          description: 'A bearer that is bound to a key, with a proof in the header field `DPoP` (RFC 9449 §7.1).',
        },
        callerKey: { type: 'http', scheme: 'bearer', description: 'A key of `COUNTERSIGN_INTROSPECTION_KEYS_FILE`.' },
        callerBasic: {
          type: 'http',
          scheme: 'basic',
          description: 'The same key, or the admin token, as the password; any user name.',
        },
        apiKey: {
          type: 'apiKey',
          in: 'header',
          name: 'X-Api-Key',
          description: 'A key of `COUNTERSIGN_API_KEYS_FILE`.',
        },
        callerBearer: {
          type: 'http',
          scheme: 'bearer',
          description: "A key of `COUNTERSIGN_API_KEYS_FILE`, or a token of the customer's identity provider.",
        },
        callerToken: {
          type: 'http',
          scheme: 'bearer',
          description: 'The `token` of a caller of the gateway, from `POST /admin/callers`.',
        },
        metricsToken: { type: 'http', scheme: 'bearer', description: '`COUNTERSIGN_METRICS_TOKEN`.' },
      },
    },
    'x-failures-outside-operations': [...OUTSIDE_OPERATIONS],
    'x-failures-of-relaying': [...OF_RELAYING],
  });
  const note = '# Generated from the code by "npm run openapi". Change src/*/schemas.ts and src/*/paths.ts instead.\n';
  return note + stringify(document, { aliasDuplicateObjects: false, blockQuote: 'literal', lineWidth: 0 });
}

/** Whether a committed description is the one that the code makes; says what to do where it is not. */
export function findStaleLine(committed: string, generated: string): string | undefined {
  if (committed === generated) return undefined;
  const [theirs, ours] = [committed.split('\n'), generated.split('\n')];
  const index = ours.findIndex((line, at) => line !== theirs[at]);
  const at = index === -1 ? ours.length : index;
  return `line ${at + 1} is\n  ${theirs[at] ?? '(missing)'}\nand should be\n  ${ours[at] ?? '(missing)'}`;
}
