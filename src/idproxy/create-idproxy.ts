import type { AdminCheck } from '../apps/admin-token.ts';
import { type AppDirectory, createAppDirectory } from '../apps/directory.ts';
import { createAppKeys } from '../apps/keys/app-keys.ts';
import { createPlatformKeys } from '../apps/platform-keys.ts';
import { createPlatformKeyRegistry } from '../apps/platform-keys/registry.ts';
import { createAppRegistry } from '../apps/registry.ts';
import { createAppRoutes } from '../apps/routes.ts';
import { createPlatformKeyRoutes } from '../apps/routes/platform-keys.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../http/access-log.ts';
import type { AdminActs } from '../http/audit-acts.ts';
import type { Routes } from '../http/create-app.ts';
import type { KeyList } from '../http/key-list.ts';
import type { Metrics } from '../http/metrics.ts';
import { createRefusedAssertions, FAILED_ASSERTIONS_PER_MINUTE } from '../http/refused-assertions.ts';
import type { SharedCounters } from '../http/shared-counters.ts';
import type { RouteShortcut } from '../http/shortcuts.ts';
import type { GetText } from '../http/outbound/get-text.ts';
import type { Keyring } from '../jose/keyring.ts';
import type { Store } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import {
  type Authenticate,
  createAuthenticate,
  createFindSession,
  type FindSession,
  type FindSessionDeps,
} from './authenticate.ts';
import { createAccessTokens } from './access-token.ts';
import { createAuthenticateToken } from './authenticate-token.ts';
import { createCheckDpop } from './dpop.ts';
import { createExchange, type ToIdentityClaim } from './exchange.ts';
import { limitApps } from './limit-apps.ts';
import { REPLAY_KEY_FORMATS, type ReplayKeyFormats } from './replay-key.ts';
import { createClientRoutes } from './routes/client.ts';
import { createOauthRoutes } from './routes/oauth.ts';
import { createExplain } from './explain.ts';
import { createExplainRoutes } from './routes/explain.ts';
import { createIsTokenOf, type IsTokenOf } from './token-owner.ts';
import { createCheckTrust } from './trusted-caller.ts';
import { createUserContexts, type UserContexts } from './user-context.ts';
import { createVerifyAssertion } from './verify.ts';

export interface IdproxySettings {
  /** Under what URL the idproxy is reached from outside. A function, since the port may be chosen when it listens. */
  readonly publicUrl: () => string;
  readonly rateLimitPerMinute: number;
  /** Of one address; 0 for no limit. */
  readonly refusedAssertionsPerMinute?: number;
}

export interface IdproxyDeps {
  readonly store: Store;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly isAdmin: AdminCheck;
  readonly introspectionKeys: KeyList;
  readonly contextKeys: KeyList;
  /** Writes what the admin token does outside `/admin`. */
  readonly adminActs: AdminActs;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly toIdentityClaim: ToIdentityClaim;
  readonly readSubject: FindSessionDeps['readSubject'];
  /** What reads the key sets of apps that have a URL in place of a key. Absent: their assertions are refused. */
  readonly getText?: GetText | undefined;
  /** What counts together with other processes. Absent: each process counts for itself. */
  readonly sharedCounters?: SharedCounters | undefined;
  /** Other replay key formats than this version's, for an upgrade. */
  readonly replayKeyFormats?: ReplayKeyFormats;
}

/** An idproxy's parts. `close` ends what it watches; the store stays open. */
export interface Idproxy {
  /** What the admin alone may call. */
  readonly adminRoutes: Routes;
  readonly routes: Routes;
  readonly shortcuts: readonly RouteShortcut[];
  readonly directory: AppDirectory;
  /** The platform's keys. @throws AppError where the store is away or was filled under another master key */
  readonly keyring: () => Promise<Keyring>;
  readonly findSession: FindSession;
  readonly authenticate: Authenticate;
  readonly isTokenOf: IsTokenOf;
  readonly contexts: UserContexts;
  close(): void;
}

/** The idproxy: registration, verification, exchange, introspection, revocation. */
export function createIdproxy(settings: IdproxySettings, deps: IdproxyDeps): Idproxy {
  const { store, vault, clock, logger, metrics } = deps;
  const { documents, sessions } = store;
  const directory = createAppDirectory({
    documents,
    vault,
    clock,
    getText: deps.getText,
    onProblem: (detail) => logger.warn({ detail }, 'app directory'),
  });
  const { keyring, close: closeKeys } = createPlatformKeys({
    documents,
    vault,
    clock,
    onProblem: (detail) => logger.warn({ detail }, 'platform keys'),
  });
  const authenticateToken = createAuthenticateToken({ directory, keyring });
  const contexts = createUserContexts(vault);
  const { publicUrl } = settings;
  const accessTokens = createAccessTokens({ signing: async () => (await keyring()).signing, publicUrl });
  const checkDpop = createCheckDpop({ claims: store.claims, clock, publicUrl });
  const findSession = createFindSession({ sessions, directory, clock, readSubject: deps.readSubject });
  const exchange = createExchange({
    verify: createVerifyAssertion(authenticateToken, clock, publicUrl),
    takePlace: limitApps({ counters: deps.sharedCounters }),
    accessTokens,
    findSession,
    sessions,
    contexts,
    toIdentityClaim: deps.toIdentityClaim,
    onOutcome: (outcome) => metrics.countAssertion(outcome),
    bearerKey: () => vault.deriveKey('bearer'),
    formats: deps.replayKeyFormats ?? REPLAY_KEY_FORMATS,
  });
  const authenticate = createAuthenticate({ findSession, accessTokens, checkDpop });
  const checkTrust = createCheckTrust(deps);
  const registry = createAppRegistry({ documents, identities: store.identities, sessions, vault, clock });
  const refusedAssertions = createRefusedAssertions({
    perMinute: settings.refusedAssertionsPerMinute ?? FAILED_ASSERTIONS_PER_MINUTE,
    counters: deps.sharedCounters,
  });
  const shared = {
    ...settings,
    refusedAssertions,
    checkDpop,
    accessTokens,
    exchange,
    findSession,
    authenticate,
    checkTrust,
    adminActs: deps.adminActs,
    contexts,
    sessions,
    keyring,
    clock,
  };
  const client = createClientRoutes(shared);
  const oauth = createOauthRoutes(shared);
  return {
    adminRoutes: [
      ...createAppRoutes({ registry, appKeys: createAppKeys({ documents, vault, clock }), keyring, logger }),
      ...createPlatformKeyRoutes({ registry: createPlatformKeyRegistry({ documents, vault, clock }), keyring, logger }),
      ...createExplainRoutes({
        explain: createExplain({ directory, keyring, authenticateToken, clock, issuer: publicUrl }),
      }),
    ],
    routes: [client.router, oauth.router],
    shortcuts: [...client.shortcuts, ...oauth.shortcuts],
    directory,
    keyring,
    findSession,
    authenticate,
    isTokenOf: createIsTokenOf(authenticateToken, (refusal) => logger.info(refusal, "a socket's token")),
    contexts,
    close: () => {
      directory.close();
      closeKeys();
    },
  };
}
