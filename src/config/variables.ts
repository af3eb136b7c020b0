import { z } from 'zod';

import {
  baseUrl,
  flag,
  httpUrl,
  list,
  origins,
  port,
  redisUrl,
  secret,
  token,
  trustedProxies,
  webhookSecret,
  wholeNumber,
} from './fields.ts';
import { GATEWAY_VARIABLES } from './gateway-variables.ts';

const seconds = (min: number, max: number) => wholeNumber(min, max);

/**
 * Every environment variable: its form, its default, what it is for. An empty value counts as unset; a name that begins
 * with `COUNTERSIGN_` and is not here is an error. docs/configuration.md is made from this table.
 */
export const VARIABLES = {
  COUNTERSIGN_HOST: z
    .string()
    .default('127.0.0.1')
    .describe('The address every server listens on. The default is this machine alone.'),
  COUNTERSIGN_ISSUER_PORT: port().default(3000).describe("The issuer's port."),
  COUNTERSIGN_IDPROXY_PORT: port().default(4000).describe("The idproxy's port."),
  COUNTERSIGN_PUBLIC_URL: baseUrl()
    .optional()
    .describe(
      'Under what URL the idproxy is reached from outside; `issuer` in its metadata. Unset: the address it listens on.',
    ),
  COUNTERSIGN_TLS_CERT_FILE: z
    .string()
    .optional()
    .describe('A certificate chain (PEM). With the key file, every server speaks HTTPS.'),
  COUNTERSIGN_TLS_KEY_FILE: z.string().optional().describe("The certificate's private key (PEM)."),
  COUNTERSIGN_TRUST_PROXY: trustedProxies()
    .default(false)
    .describe(
      'Whose `X-Forwarded-For` is believed: `false`, a number of proxies in front, or their addresses (also `loopback`, `linklocal`, `uniquelocal`). Rate limits go by it.',
    ),
  COUNTERSIGN_CORS_ORIGINS: origins()
    .default([])
    .describe('Origins whose pages may call issuer and idproxy. `countersign start` allows loopback origins besides.'),
  COUNTERSIGN_RATE_LIMIT_PER_MINUTE: wholeNumber(1, 1_000_000_000)
    .default(1_200)
    .describe(
      'Requests a minute from one address to one route (all of `/admin` together), in each process. Introspection and revocation count, too.',
    ),
  COUNTERSIGN_SHARED_LIMITS: flag()
    .default(false)
    .describe(
      'Whether limits by address and by app are counted over all idproxies on one Redis: one more round trip for each request that is limited. Needs Redis.',
    ),
  COUNTERSIGN_REFUSED_ASSERTIONS_PER_MINUTE: wholeNumber(0, 1_000_000_000)
    .default(300)
    .describe(
      'Refused assertions a minute from one address, in each process; further ones are refused unread. 0 for no limit. Loopback addresses have none.',
    ),
  COUNTERSIGN_SOCKETS_PER_ADDRESS: wholeNumber(1, 5_000)
    .default(1_000)
    .describe(
      'Web sockets that one address may hold at a time, in each process. Behind a proxy that is not trusted everybody has one address.',
    ),
  COUNTERSIGN_LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('What is logged: this level and those before it.'),
  COUNTERSIGN_METRICS_TOKEN: token().optional().describe('Where set, `/metrics` asks for it as a bearer.'),

  COUNTERSIGN_DATA_DIR: z.string().default('data').describe('The folder of the embedded store.'),
  COUNTERSIGN_KEYS_DIR: z.string().default('keys').describe('The folder of the keys that are made on the first run.'),
  COUNTERSIGN_STORE: z
    .enum(['embedded', 'redis'])
    .optional()
    .describe('The store. Unset: `redis` where `COUNTERSIGN_REDIS_URL` is set, else `embedded`.'),
  COUNTERSIGN_REDIS_URL: redisUrl().optional().describe('`redis://` or `rediss://` with user, password and database.'),
  COUNTERSIGN_REDIS_WAIT_REPLICAS: wholeNumber(0, 16)
    .default(0)
    .describe('Redis replicas that must hold an exchange before it is granted.'),

  COUNTERSIGN_ADMIN_TOKEN: token()
    .optional()
    .describe('The admin token. Unset: made on the first run, printed once, kept as a hash in the keys folder.'),
  COUNTERSIGN_AUDIT_DAYS: wholeNumber(0, 36_500)
    .default(400)
    .describe('How many days the audit trail of administration is kept; 0 for ever.'),
  COUNTERSIGN_INTROSPECTION_KEYS_FILE: z
    .string()
    .optional()
    .describe(
      'Callers of introspection and revocation besides the admin token: lines `label:sha256`, made by `countersign api-keys create`.',
    ),
  COUNTERSIGN_CONTEXT_KEYS_FILE: z
    .string()
    .optional()
    .describe(
      "The same form: callers that may besides see what is known of a session's user (`UserContext`), such as the back end of a bot.",
    ),
  COUNTERSIGN_JWKS_HOSTS: list()
    .default([])
    .describe(
      "Hosts, separated by commas, that apps' JWKS URLs may name although they are at private addresses. All others must be on the public internet.",
    ),

  COUNTERSIGN_BOT: z
    .enum(['none', 'echo', 'webhook', 'module'])
    .optional()
    .describe(
      'What answers in real-time sessions: nothing, the echo of the sandbox, a URL or a module of yours (docs/bots.md). Unset: `echo` for `countersign start`, `none` for `countersign idproxy`.',
    ),
  COUNTERSIGN_BOT_WEBHOOK_URL: httpUrl()
    .optional()
    .describe('`webhook`: where events are posted. `https`, or `http` on a loopback address.'),
  COUNTERSIGN_BOT_WEBHOOK_SECRET: webhookSecret()
    .optional()
    .describe('`webhook`: signs what is posted (Standard Webhooks). `whsec_` and base64, or text; 32 bytes at least.'),
  COUNTERSIGN_BOT_MODULE: z
    .string()
    .optional()
    .describe('`module`: the path of an ES module that exports `createBot(deps)` or `bot`. It runs in the server.'),
  COUNTERSIGN_BOT_TIMEOUT_MS: wholeNumber(100, 60_000)
    .default(10_000)
    .describe('How long a bot may take for an answer.'),

  ...GATEWAY_VARIABLES,

  COUNTERSIGN_CLIENT_ID: z.string().optional().describe("The issuer's client id, `iss` of what it signs."),
  COUNTERSIGN_CLIENT_SECRET: secret().optional().describe('The client secret (HS256, HS512), used as text.'),
  COUNTERSIGN_PRIVATE_KEY_FILE: z.string().optional().describe('The private key (RS256, RS512), PEM.'),
  COUNTERSIGN_ALGORITHM: z
    .enum(['HS256', 'HS512', 'RS256', 'RS512'])
    .default('HS256')
    .describe('How the issuer signs.'),
  COUNTERSIGN_AUDIENCE: list()
    .default(['https://idproxy.kore.com/authorize'])
    .describe(
      '`aud` of what the issuer signs. Several, by commas: the first is the default, a caller may ask for the others.',
    ),
  COUNTERSIGN_TOKEN_LIFETIME_SECONDS: seconds(1, 3_600)
    .default(300)
    .describe('The life of a minted token, which always has a `jti`.'),
  COUNTERSIGN_KORE_CLAIMS: flag()
    .default(false)
    .describe('Whether to set `kore_jti`, `kore_iss` and `kore_sub` besides.'),
  COUNTERSIGN_JWE_KEY_FILE: z
    .string()
    .optional()
    .describe(
      "The platform's JWE public key: a JWK with `kid`, or the platform's JWKS, whose first key is taken. Where set, tokens are encrypted for it.",
    ),
  COUNTERSIGN_JWE_ALG: z
    .enum(['RSA-OAEP', 'RSA1_5'])
    .default('RSA-OAEP')
    .describe(
      'How the content key is encrypted. `RSA1_5` is not recommended: take it only for a platform that knows nothing better.',
    ),
  COUNTERSIGN_JWE_ENC: z
    .enum(['A128CBC-HS256', 'A128GCM', 'A256GCM'])
    .default('A256GCM')
    .describe('How the content is encrypted.'),
  COUNTERSIGN_CALLER_AUTH: z
    .enum(['open', 'api-key', 'forward-auth', 'oidc'])
    .optional()
    .describe(
      'Who may have a token minted for whom. `countersign start` on a loopback address defaults to `open`; elsewhere it must be set.',
    ),
  COUNTERSIGN_ALLOW_OPEN_ISSUER_ON_NETWORK: flag()
    .default(false)
    .describe('Lets `open` listen on an address that others reach: anyone there can be anyone.'),
  COUNTERSIGN_ALLOW_ANONYMOUS: flag()
    .optional()
    .describe(
      'Whether to mint for anonymous users, without a login. `countersign start` defaults to true, `countersign issuer` to false.',
    ),
  COUNTERSIGN_API_KEYS_FILE: z
    .string()
    .optional()
    .describe('`api-key`: lines `label:sha256`, made by `countersign api-keys create`.'),
  COUNTERSIGN_FORWARD_AUTH_URL: httpUrl()
    .optional()
    .describe(
      "`forward-auth`: asked with the caller's cookie and Authorization; 2xx names the user, 401 and 403 refuse.",
    ),
  COUNTERSIGN_FORWARD_AUTH_IDENTITY: z
    .string()
    .regex(/^(json|header):[\w-]{1,64}$/, 'must be json:<member> or header:<name>')
    .default('json:identity')
    .describe('`forward-auth`: where its answer names the user, `json:<member>` or `header:<name>`.'),
  COUNTERSIGN_OIDC_ISSUER: httpUrl().optional().describe("`oidc`: the identity provider's `iss`."),
  COUNTERSIGN_OIDC_AUDIENCE: z.string().optional().describe('`oidc`: the `aud` that bearers must have.'),
  COUNTERSIGN_OIDC_JWKS_URL: httpUrl().optional().describe("`oidc`: the identity provider's JWKS."),
  COUNTERSIGN_OIDC_IDENTITY_CLAIM: z.string().default('sub').describe('`oidc`: the claim that is the identity.'),
  COUNTERSIGN_CLAIMS_FILE: z
    .string()
    .optional()
    .describe(
      'Private claims: a JSON object from identity to claims; `*` for everyone else. Read again when it changes.',
    ),
  COUNTERSIGN_CLAIMS_URL: httpUrl()
    .optional()
    .describe('Private claims: asked by `POST {"identity":…}`; answers a JSON object.'),
  COUNTERSIGN_CLAIMS_URL_TOKEN: secret().optional().describe('Private claims: sent to that URL as a bearer.'),
  COUNTERSIGN_CLAIMS_NAME: z
    .enum(['privateClaims', 'secureCustomData'])
    .default('privateClaims')
    .describe('Under what name private claims travel.'),
  COUNTERSIGN_UPSTREAM_TIMEOUT_MS: wholeNumber(50, 30_000)
    .default(3_000)
    .describe('How long the issuer waits for the forward-auth, claims and JWKS URLs.'),
} as const satisfies Record<string, z.ZodType>;

/** The environment after parsing. */
export type Environment = { readonly [Name in keyof typeof VARIABLES]: z.output<(typeof VARIABLES)[Name]> };
