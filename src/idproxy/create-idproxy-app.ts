import type { Express } from '../http/create-app.ts';

import type { AdminCheck } from '../apps/admin-token.ts';
import { createAppDirectory } from '../apps/directory.ts';
import { createPlatformKeys } from '../apps/platform-keys.ts';
import { createAppRegistry } from '../apps/registry.ts';
import { createAppRoutes } from '../apps/routes.ts';
import type { Clock } from '../core/clock.ts';
import type { CorsPolicy } from '../http/cors.ts';
import { allowOrigins } from '../http/cors.ts';
import { type AppDeps, createApp } from '../http/create-app.ts';
import type { KeyList } from '../http/key-list.ts';
import type { Keyring } from '../jose/keyring.ts';
import type { Store } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import { createAuthenticate, createFindSession } from './authenticate.ts';
import { createExchange } from './exchange.ts';
import { REPLAY_KEY_FORMATS, type ReplayKeyFormats } from './replay-key.ts';
import { createClientRoutes } from './routes/client.ts';
import { createOauthRoutes } from './routes/oauth.ts';
import { createIsTrustedCaller } from './trusted-caller.ts';
import { createVerifyAssertion } from './verify.ts';

export interface IdproxySettings {
  /** Under what URL the idproxy is reached from outside. A function, since the port may be chosen when it listens. */
  readonly publicUrl: () => string;
  readonly cors: CorsPolicy;
  readonly rateLimitPerMinute: number;
}

export interface IdproxyDeps extends Omit<AppDeps, 'name' | 'checks'> {
  readonly store: Store;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly isAdmin: AdminCheck;
  readonly introspectionKeys: KeyList;
  /** Other replay key formats than this version's, for an upgrade. */
  readonly replayKeyFormats?: ReplayKeyFormats;
}

/** An idproxy's app. `close` ends what it watches; the store stays open. */
export interface Idproxy {
  readonly app: Express;
  /** The platform's keys. @throws AppError where the store is away or was filled under another master key */
  readonly keyring: () => Promise<Keyring>;
  close(): void;
}

/** The idproxy: registration, verification, exchange, introspection, revocation. */
export function createIdproxyApp(settings: IdproxySettings, deps: IdproxyDeps): Idproxy {
  const { store, vault, clock, isAdmin, logger, metrics } = deps;
  const { publicUrl, rateLimitPerMinute } = settings;
  const { documents, sessions } = store;
  const directory = createAppDirectory({
    documents,
    vault,
    onProblem: (detail) => logger.warn({ detail }, 'app directory'),
  });
  const keyring = createPlatformKeys({ documents, vault });
  const verify = createVerifyAssertion({ directory, keyring, clock });
  const exchange = createExchange({
    verify,
    sessions,
    onOutcome: (outcome) => metrics.countAssertion(outcome),
    keys: { bearer: vault.deriveKey('bearer'), userId: vault.deriveKey('user-id') },
    formats: deps.replayKeyFormats ?? REPLAY_KEY_FORMATS,
  });
  const findSession = createFindSession({ sessions, directory, clock });
  const authenticate = createAuthenticate(findSession);
  const isTrustedCaller = createIsTrustedCaller(isAdmin, deps.introspectionKeys);
  const registry = createAppRegistry({ documents, vault, clock });

  const checks = {
    store: async () => {
      const health = await store.health();
      return health.isReady ? undefined : health.problem;
    },
    keys: async () => {
      try {
        await keyring();
        return undefined;
      } catch {
        return 'the platform keys cannot be opened: is the store up, and is this the master key they were sealed under?';
      }
    },
  };

  const app = createApp({ ...deps, name: 'idproxy', checks }, (server) => {
    // Before CORS: no page of another origin has any business here.
    server.use(createAppRoutes({ registry, keyring, isAdmin, logger, rateLimitPerMinute }));
    server.use(allowOrigins(settings.cors));
    server.use(createClientRoutes({ exchange, authenticate, keyring, clock, publicUrl, rateLimitPerMinute }));
    server.use(
      createOauthRoutes({ exchange, findSession, sessions, isTrustedCaller, clock, publicUrl, rateLimitPerMinute }),
    );
  });
  return { app, keyring, close: () => directory.close() };
}
