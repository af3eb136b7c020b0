import type { AdminCheck } from '../apps/admin-token.ts';
import { guardAdmin } from '../apps/routes.ts';
import type { Clock } from '../core/clock.ts';
import { createGatewayAdmin, type GatewayAdminSettings } from '../gateway/create-gateway-admin.ts';
import { buildPackage } from '../gateway/packages/build-package.ts';
import { createServiceIdentityRoutes } from '../gateway/routes/service-calls.ts';
import { NO_IDENTITIES, type ServiceIdentities } from '../gateway/service-calls/identities.ts';
import { createAuditedActs } from '../http/audit-acts.ts';
import { createAuditTrail } from '../http/audit-entry.ts';
import { createAuditRoutes } from '../http/audit-routes.ts';
import { allowOrigins, type CorsPolicy } from '../http/cors.ts';
import { type AppDeps, createApp, type Express } from '../http/create-app.ts';
import type { UpgradeHandler } from '../http/upgrade.ts';
import type { KeyList } from '../http/key-list.ts';
import type { GetText } from '../http/outbound/get-text.ts';
import { isBoundAsAsked } from '../idproxy/authenticate.ts';
import { createIdproxy, type Idproxy, type IdproxySettings } from '../idproxy/create-idproxy.ts';
import type { ReplayKeyFormats } from '../idproxy/replay-key.ts';
import type { Bot } from '../sessions/bots/bot.ts';
import { createSessions, type SessionsSettings } from '../sessions/create-sessions.ts';
import { createIdentities, parseIdentityBody } from '../sessions/identity.ts';
import type { Store } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import { ADMIN_ROUTES, AUDITED_READS, NAME_FORMS } from './admin-routes.ts';

export interface PlatformSettings extends IdproxySettings, SessionsSettings, GatewayAdminSettings {
  readonly cors: CorsPolicy;
}

export interface PlatformDeps extends Omit<AppDeps, 'name' | 'checks'> {
  readonly store: Store;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly isAdmin: AdminCheck;
  readonly introspectionKeys: KeyList;
  readonly contextKeys: KeyList;
  /** What answers in real-time sessions. Absent: there are none. */
  readonly bot: Bot | undefined;
  /** What service calls present. Absent: nothing. */
  readonly serviceIdentities?: ServiceIdentities;
  /** What reads the key sets of apps that have a URL in place of a key. Absent: their assertions are refused. */
  readonly getText?: GetText | undefined;
  /** Other replay key formats than this version's, for an upgrade. */
  readonly replayKeyFormats?: ReplayKeyFormats;
}

/** The server of the platform's side. */
export interface Platform {
  readonly app: Express;
  /** Takes or refuses an upgrade of a connection to a web socket. */
  readonly onUpgrade: UpgradeHandler;
  readonly keyring: Idproxy['keyring'];
  /** Closes every socket and ends what is watched; the store stays open. */
  close(): Promise<void>;
}

/** Puts idproxy and sessions together behind one server: they know each other only by what they are handed here. */
export function createPlatform(settings: PlatformSettings, deps: PlatformDeps): Platform {
  const { store, vault } = deps;
  const identities = createIdentities(vault.deriveKey('user-id'));
  const audited = createAuditedActs({
    trail: createAuditTrail({ append: (body) => store.audit.append(body), clock: deps.clock }),
    logger: deps.logger,
    routes: ADMIN_ROUTES,
    readingActs: AUDITED_READS,
    nameForms: NAME_FORMS,
  });
  const idproxy = createIdproxy(settings, {
    ...deps,
    adminActs: audited,
    toIdentityClaim: identities.toClaim,
    readSubject: (body) => parseIdentityBody(body).subject,
  });
  const { directory, keyring, findSession, authenticate, isTokenOf, contexts } = idproxy;
  const sessions = createSessions(settings, {
    ...deps,
    identities,
    directory,
    bearers: {
      find: async (name) => {
        const live = await findSession(name);
        // To a bearer that is not bound to a key, though its app asks for that, the app is not there.
        return live && !isBoundAsAsked(live) ? { ...live, app: undefined } : live;
      },
      authenticate,
      isTokenOf: (token, { session }) => isTokenOf(token, session),
      openContext: ({ id, session }) => contexts.open(id, session.sealedContext),
    },
  });
  const gatewayAdmin = createGatewayAdmin(settings, { ...deps, buildPackage });
  const checks = {
    store: async () => {
      const health = await store.health();
      if (!health.isReady) return health.problem;
      try {
        // Exchanges need the apps: they are loaded anew after the store was away.
        await directory.jweUnion();
        return undefined;
      } catch {
        return 'the apps cannot be loaded';
      }
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
  const cors = allowOrigins(settings.cors);
  const mount = (server: Express): void => {
    // Before CORS: no page of another origin has any business here.
    server.use('/admin', audited.recordRefusals, ...guardAdmin({ ...settings, ...deps }), audited.recordActs);
    server.use(...idproxy.adminRoutes, ...sessions.adminRoutes, ...gatewayAdmin.routes);
    server.use(...createServiceIdentityRoutes({ identities: deps.serviceIdentities ?? NO_IDENTITIES }));
    server.use(...createAuditRoutes({ audit: store.audit }));
    server.use(cors);
    server.use(...idproxy.routes, ...sessions.routes);
  };
  const shortcuts = idproxy.shortcuts.map((shortcut) => ({ ...shortcut, cors }));
  const app = createApp({ ...deps, name: 'idproxy', checks }, mount, shortcuts);
  return {
    app,
    keyring,
    onUpgrade: sessions.onUpgrade,
    close: async () => {
      await Promise.all([sessions.close(), audited.close()]);
      idproxy.close();
    },
  };
}
