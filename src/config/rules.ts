import { isLoopbackAuthority } from '../core/loopback.ts';
import type { Config, Program } from './config.ts';
import { parseWebhookTargets } from './webhook-targets.ts';

/** A condition between settings, and what is said where it does not hold. */
export interface ConfigRule {
  readonly programs: readonly Program[];
  readonly isBroken: (config: Config) => boolean;
  readonly problem: string;
}

const ALL: readonly Program[] = ['start', 'issuer', 'idproxy', 'gateway', 'tools'];
const SERVERS: readonly Program[] = ['start', 'issuer', 'idproxy', 'gateway'];
const ISSUERS: readonly Program[] = ['start', 'issuer'];
const IDPROXIES: readonly Program[] = ['start', 'idproxy'];
const GATEWAYS: readonly Program[] = ['gateway'];
const ISSUER: readonly Program[] = ['issuer'];

const isHmac = ({ algorithm }: Config): boolean => algorithm.startsWith('HS');
const needs = (mode: Config['callerAuth'], isMissing: (config: Config) => boolean, problem: string): ConfigRule => ({
  programs: ISSUERS,
  isBroken: (config) => config.callerAuth === mode && isMissing(config),
  problem,
});

/** Whether what is sent to a URL could be read on its way. */
function isReadable(url: string): boolean {
  const { protocol, host } = new URL(url);
  return protocol !== 'https:' && !isLoopbackAuthority(host);
}

/** Conditions between settings. */
export const RULES: readonly ConfigRule[] = [
  {
    programs: ALL,
    isBroken: ({ store, redisUrl }) => store === 'redis' && redisUrl === undefined,
    problem: 'COUNTERSIGN_REDIS_URL: is needed by COUNTERSIGN_STORE=redis',
  },
  {
    programs: ALL,
    isBroken: ({ store, redisUrl }) => store === 'embedded' && redisUrl !== undefined,
    problem: 'COUNTERSIGN_STORE=embedded and COUNTERSIGN_REDIS_URL: set one of them',
  },
  {
    programs: IDPROXIES,
    isBroken: ({ sharedLimits, store }) => sharedLimits && store !== 'redis',
    problem: 'COUNTERSIGN_SHARED_LIMITS: needs COUNTERSIGN_REDIS_URL',
  },
  {
    programs: ['start'],
    isBroken: ({ clientId, clientSecret, privateKeyFile }) =>
      clientId === undefined && (clientSecret ?? privateKeyFile) !== undefined,
    problem: 'COUNTERSIGN_CLIENT_ID: is needed by COUNTERSIGN_CLIENT_SECRET and COUNTERSIGN_PRIVATE_KEY_FILE',
  },
  {
    programs: SERVERS,
    isBroken: ({ tlsCertFile, tlsKeyFile }) => (tlsCertFile === undefined) !== (tlsKeyFile === undefined),
    problem: 'COUNTERSIGN_TLS_CERT_FILE and COUNTERSIGN_TLS_KEY_FILE: set both or none',
  },
  {
    programs: IDPROXIES,
    isBroken: ({ bot, botWebhookUrl, botWebhookSecret }) =>
      bot === 'webhook' && (botWebhookUrl === undefined || botWebhookSecret === undefined),
    problem: 'COUNTERSIGN_BOT_WEBHOOK_URL and COUNTERSIGN_BOT_WEBHOOK_SECRET: are needed by COUNTERSIGN_BOT=webhook',
  },
  {
    programs: IDPROXIES,
    isBroken: ({ botWebhookUrl }) => botWebhookUrl !== undefined && isReadable(botWebhookUrl),
    problem: 'COUNTERSIGN_BOT_WEBHOOK_URL: must be https, or http on a loopback address',
  },
  {
    programs: IDPROXIES,
    isBroken: ({ bot, botModule }) => bot === 'module' && botModule === undefined,
    problem: 'COUNTERSIGN_BOT_MODULE: is needed by COUNTERSIGN_BOT=module',
  },
  {
    programs: IDPROXIES,
    isBroken: ({ bot, botWebhookUrl, botWebhookSecret, botModule }) =>
      ((botWebhookUrl ?? botWebhookSecret) !== undefined && bot !== 'webhook') ||
      (botModule !== undefined && bot !== 'module'),
    problem:
      'COUNTERSIGN_BOT: must be webhook with COUNTERSIGN_BOT_WEBHOOK_URL and _SECRET, module with COUNTERSIGN_BOT_MODULE',
  },
  {
    programs: ISSUER,
    isBroken: ({ clientId }) => clientId === undefined,
    problem: 'COUNTERSIGN_CLIENT_ID: is needed by the issuer',
  },
  {
    programs: ISSUERS,
    isBroken: (config) => config.clientId !== undefined && isHmac(config) && config.clientSecret === undefined,
    problem: 'COUNTERSIGN_CLIENT_SECRET: is needed by HS256 and HS512',
  },
  {
    programs: ISSUERS,
    isBroken: (config) => config.clientId !== undefined && !isHmac(config) && config.privateKeyFile === undefined,
    problem: 'COUNTERSIGN_PRIVATE_KEY_FILE: is needed by RS256 and RS512',
  },
  {
    programs: ISSUERS,
    isBroken: ({ audience }) => audience.length === 0,
    problem: 'COUNTERSIGN_AUDIENCE: must name an audience',
  },
  {
    programs: ISSUER,
    isBroken: ({ callerAuth }) => callerAuth === undefined,
    problem:
      'COUNTERSIGN_CALLER_AUTH: must be set; an issuer that signs for anyone who asks is an impersonation machine',
  },
  {
    programs: ['start'],
    isBroken: ({ callerAuth, isLoopback }) => callerAuth === undefined && !isLoopback,
    problem: 'COUNTERSIGN_CALLER_AUTH: must be set where COUNTERSIGN_HOST is not a loopback address',
  },
  {
    programs: ISSUERS,
    isBroken: ({ callerAuth, isLoopback, allowOpenIssuerOnNetwork }) =>
      callerAuth === 'open' && !isLoopback && !allowOpenIssuerOnNetwork,
    problem:
      'COUNTERSIGN_CALLER_AUTH=open: lets anyone who reaches this address be anyone; COUNTERSIGN_ALLOW_OPEN_ISSUER_ON_NETWORK=true permits it',
  },
  needs(
    'api-key',
    ({ apiKeysFile }) => apiKeysFile === undefined,
    'COUNTERSIGN_API_KEYS_FILE: is needed by COUNTERSIGN_CALLER_AUTH=api-key',
  ),
  needs(
    'forward-auth',
    ({ forwardAuthUrl }) => forwardAuthUrl === undefined,
    'COUNTERSIGN_FORWARD_AUTH_URL: is needed by COUNTERSIGN_CALLER_AUTH=forward-auth',
  ),
  needs(
    'oidc',
    ({ oidcIssuer, oidcAudience, oidcJwksUrl }) => [oidcIssuer, oidcAudience, oidcJwksUrl].includes(undefined),
    'COUNTERSIGN_OIDC_ISSUER, COUNTERSIGN_OIDC_AUDIENCE and COUNTERSIGN_OIDC_JWKS_URL: are needed by COUNTERSIGN_CALLER_AUTH=oidc',
  ),
  {
    programs: ISSUERS,
    isBroken: ({ claimsFile, claimsUrl }) => claimsFile !== undefined && claimsUrl !== undefined,
    problem: 'COUNTERSIGN_CLAIMS_FILE and COUNTERSIGN_CLAIMS_URL: set one of them',
  },
  {
    programs: ISSUERS,
    isBroken: ({ claimsFile, claimsUrl, jweKeyFile }) =>
      (claimsFile ?? claimsUrl) !== undefined && jweKeyFile === undefined,
    problem: 'COUNTERSIGN_JWE_KEY_FILE: is needed by private claims, which travel only encrypted',
  },
  {
    programs: GATEWAYS,
    isBroken: ({ webhookTargets }) => parseWebhookTargets(webhookTargets) === undefined,
    problem:
      'COUNTERSIGN_WEBHOOK_TARGETS: must be name=https://…, each name once; http only on a loopback address, no user, no #',
  },
  {
    programs: GATEWAYS,
    isBroken: ({ webhookTargets, webhookSecret }) => webhookTargets.length > 0 && webhookSecret === undefined,
    problem: 'COUNTERSIGN_WEBHOOK_SECRET: is needed by COUNTERSIGN_WEBHOOK_TARGETS',
  },
];
