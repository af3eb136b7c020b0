import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/config-error.ts';
import { systemClock } from '../core/clock.ts';
import { isJsonObject, JsonError, parseJsonObject } from '../core/json.ts';
import type { Secret } from '../core/secret.ts';
import type { Express } from '../http/create-app.ts';
import { type RunningServer, startServer } from '../http/server.ts';
import { createIssuerApp } from '../issuer/create-issuer-app.ts';
import { type CallerAuth, type IdentityPlace, type IssuerSettings, SettingsError } from '../issuer/settings.ts';
import type { JwsAlgorithm } from '../jose/algorithms.ts';
import { KeyError, parseRsaPublicKey, type RsaPublicJwk } from '../jose/jwk.ts';
import { type ServerBase, toListenAt } from './runtime.ts';

/** What an issuer throws where it cannot take its settings. */
const REFUSALS = [SettingsError, KeyError];

/** Whose tokens an issuer signs. */
export interface IssuerIdentity {
  readonly clientId: string;
  readonly algorithm: JwsAlgorithm;
  /** The client secret, or the private key as PEM. */
  readonly key: Secret;
}

/** The identity that the configuration names. @returns undefined where it names none */
export function toIssuerIdentity(config: Config): IssuerIdentity | undefined {
  const key = config.algorithm.startsWith('HS') ? config.clientSecret : config.privateKey;
  return config.clientId === undefined || key === undefined
    ? undefined
    : { clientId: config.clientId, algorithm: config.algorithm, key };
}

/**
 * Starts the configured issuer. `mountMore` adds routes of its own before the 404.
 * @throws ConfigError when a key or a key list cannot be taken
 */
export async function startIssuer(
  config: Config,
  base: ServerBase,
  identity: IssuerIdentity,
  mountMore?: (app: Express) => void,
): Promise<RunningServer> {
  const deps = { ...base, checks: {}, clock: systemClock, fetch, ...(mountMore && { mountMore }) };
  try {
    const app = await createIssuerApp(toIssuerSettings(config, identity), deps);
    return await startServer(app, toListenAt(config, config.issuerPort));
  } catch (error) {
    const isSettings = REFUSALS.some((refusal) => error instanceof refusal);
    throw isSettings ? new ConfigError([`the issuer: ${(error as Error).message}`]) : error;
  }
}

function toIssuerSettings(config: Config, identity: IssuerIdentity): IssuerSettings {
  const isStart = config.program === 'start';
  const callerAuth = toCallerAuth(config);
  const jwe = config.jweKey !== undefined && {
    jwk: parsePlatformJwk(config.jweKey),
    alg: config.jweAlg,
    enc: config.jweEnc,
  };
  const claims = toClaims(config);
  return {
    ...identity,
    callerAuth,
    // A rule of the configuration holds that there is one.
    audiences: config.audience as [string, ...string[]],
    tokenLifetimeSeconds: config.tokenLifetimeSeconds,
    koreClaims: config.koreClaims,
    allowAnonymous: config.allowAnonymous ?? isStart,
    claimsName: config.claimsName,
    upstreamTimeoutMs: config.upstreamTimeoutMs,
    rateLimitPerMinute: config.rateLimitPerMinute,
    cors: {
      origins: config.corsOrigins,
      allowLoopback: isStart && config.isLoopback,
      allowCredentials: callerAuth.mode === 'forward-auth',
    },
    ...(jwe && { jwe }),
    ...(claims && { claims }),
  };
}

/** A JWK, or the JWKS that the idproxy publishes, whose first key is the one to use. */
function parsePlatformJwk(text: string): RsaPublicJwk {
  try {
    const { keys, ...jwk } = parseJsonObject(text);
    const chosen: unknown = Array.isArray(keys) ? keys[0] : jwk;
    if (!isJsonObject(chosen)) throw new KeyError('this is not a JWK');
    parseRsaPublicKey(chosen);
    return chosen as unknown as RsaPublicJwk;
  } catch (error) {
    if (!(error instanceof JsonError || error instanceof KeyError)) throw error;
    throw new ConfigError([`COUNTERSIGN_JWE_KEY_FILE: ${error.message}`]);
  }
}

function toCallerAuth(config: Config): CallerAuth {
  // The rules of the configuration hold that what a mode needs is there.
  const { forwardAuthUrl = '', oidcIssuer = '', oidcAudience = '', oidcJwksUrl = '' } = config;
  const identity = config.forwardAuthIdentity as IdentityPlace;
  const identityClaim = config.oidcIdentityClaim;
  const modes: { readonly [Mode in CallerAuth['mode']]: CallerAuth & { mode: Mode } } = {
    open: { mode: 'open', isNetworkAllowed: config.allowOpenIssuerOnNetwork },
    'api-key': { mode: 'api-key', keys: config.apiKeys ?? '' },
    'forward-auth': { mode: 'forward-auth', url: forwardAuthUrl, identity },
    oidc: { mode: 'oidc', issuer: oidcIssuer, audience: oidcAudience, jwksUrl: oidcJwksUrl, identityClaim },
  };
  return modes[config.callerAuth ?? 'open'];
}

function toClaims({ claimsFile, claimsUrl, claimsUrlToken }: Config): IssuerSettings['claims'] {
  if (claimsFile !== undefined) return { file: claimsFile };
  if (claimsUrl !== undefined) return { url: claimsUrl, ...(claimsUrlToken && { token: claimsUrlToken }) };
  return undefined;
}
