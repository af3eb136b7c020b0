import { createApp, type Express } from '../http/create-app.ts';
import { createJweEncrypter } from '../jose/jwe.ts';
import { createJwsSigner } from '../jose/jws.ts';
import { createCallerCheck } from './caller-auth.ts';
import { createClaimsSource } from './claims-source.ts';
import { createIssueAssertion } from './issue-assertion.ts';
import { createMinter } from './mint.ts';
import { createIssuerRoutes } from './routes.ts';
import type { IssuerDeps, IssuerSettings } from './settings.ts';

/**
 * The issuer: takes a user's identity, checks that the caller may speak for it, answers a signed token.
 * @throws KeyError when a key cannot be used, SettingsError when the API keys or the private claims cannot be read
 */
export async function createIssuerApp(settings: IssuerSettings, deps: IssuerDeps): Promise<Express> {
  const { callerAuth, cors, jwe, claims } = settings;
  const upstream = { fetch: deps.fetch, timeoutMs: settings.upstreamTimeoutMs, clock: deps.clock, logger: deps.logger };
  const signer = await createJwsSigner(settings.algorithm, settings.key.reveal());
  const encrypter = jwe && (await createJweEncrypter(jwe.jwk, jwe.alg, jwe.enc));
  const findClaims = encrypter && claims && (await createClaimsSource(claims, upstream));
  const issueAssertion = createIssueAssertion({
    audiences: settings.audiences,
    allowAnonymous: settings.allowAnonymous,
    checkCaller: createCallerCheck(callerAuth, upstream),
    mint: createMinter({ ...settings, clock: deps.clock, signer, ...(encrypter && { encrypter }) }),
    ...(findClaims && { findClaims }),
  });
  const { router, shortcuts } = createIssuerRoutes({
    issueAssertion,
    metrics: deps.metrics,
    rateLimitPerMinute: settings.rateLimitPerMinute,
    // A page shows who its user is by a cookie.
    cors: { ...cors, allowCredentials: cors.allowCredentials || callerAuth.mode === 'forward-auth' },
  });
  if (callerAuth.mode === 'open') {
    deps.logger.warn(
      'COUNTERSIGN_CALLER_AUTH=open: the issuer signs for ANY identity that ANYONE asks for. Never let others reach it.',
    );
  }
  const mount = (app: Express): void => {
    app.use(router);
    deps.mountMore?.(app);
  };
  return createApp({ ...deps, name: 'issuer' }, mount, shortcuts);
}
