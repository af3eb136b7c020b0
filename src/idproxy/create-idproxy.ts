import type { AdminCheck } from '../apps/admin-token.ts';
import { type AppDirectory, createAppDirectory } from '../apps/directory.ts';
import { createPlatformKeys } from '../apps/platform-keys.ts';
import { createAppRegistry } from '../apps/registry.ts';
import { createAppRoutes } from '../apps/routes.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../http/access-log.ts';
import type { Routes } from '../http/create-app.ts';
import type { KeyList } from '../http/key-list.ts';
import type { Metrics } from '../http/metrics.ts';
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
import { createAuthenticateToken } from './authenticate-token.ts';
import { createExchange, type ToIdentityClaim } from './exchange.ts';
import { REPLAY_KEY_FORMATS, type ReplayKeyFormats } from './replay-key.ts';
import { createClientRoutes } from './routes/client.ts';
import { createOauthRoutes } from './routes/oauth.ts';
import { createIsTokenOf, type IsTokenOf } from './token-owner.ts';
import { createCheckTrust } from './trusted-caller.ts';
import { createUserContexts, type UserContexts } from './user-context.ts';
import { createVerifyAssertion } from './verify.ts';

export interface IdproxySettings {
  /** Under what URL the idproxy is reached from outside. A function, since the port may be chosen when it listens. */
  readonly publicUrl: () => string;
  readonly rateLimitPerMinute: number;
}

export interface IdproxyDeps {
  readonly store: Store;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly isAdmin: AdminCheck;
  readonly introspectionKeys: KeyList;
  readonly contextKeys: KeyList;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly toIdentityClaim: ToIdentityClaim;
  readonly readSubject: FindSessionDeps['readSubject'];
  /** Other replay key formats than this version's, for an upgrade. */
  readonly replayKeyFormats?: ReplayKeyFormats;
}

/** An idproxy's parts. `close` ends what it watches; the store stays open. */
export interface Idproxy {
  /** What the admin alone may call. */
  readonly adminRoutes: Routes;
  readonly routes: Routes;
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
    onProblem: (detail) => logger.warn({ detail }, 'app directory'),
  });
  const keyring = createPlatformKeys({ documents, vault });
  const authenticateToken = createAuthenticateToken({ directory, keyring });
  const contexts = createUserContexts(vault);
  const exchange = createExchange({
    verify: createVerifyAssertion(authenticateToken, clock),
    sessions,
    contexts,
    toIdentityClaim: deps.toIdentityClaim,
    onOutcome: (outcome) => metrics.countAssertion(outcome),
    bearerKey: vault.deriveKey('bearer'),
    formats: deps.replayKeyFormats ?? REPLAY_KEY_FORMATS,
  });
  const findSession = createFindSession({ sessions, directory, clock, readSubject: deps.readSubject });
  const authenticate = createAuthenticate(findSession);
  const checkTrust = createCheckTrust(deps);
  const registry = createAppRegistry({ documents, identities: store.identities, sessions, vault, clock });
  const shared = { ...settings, exchange, findSession, authenticate, checkTrust, contexts, sessions, keyring, clock };
  return {
    adminRoutes: createAppRoutes({ registry, keyring, logger }),
    routes: [createClientRoutes(shared), createOauthRoutes(shared)],
    directory,
    keyring,
    findSession,
    authenticate,
    isTokenOf: createIsTokenOf(authenticateToken),
    contexts,
    close: () => directory.close(),
  };
}
