import type { AppDirectory } from '../apps/directory.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../http/access-log.ts';
import { createAddressLimit } from '../http/address-limit.ts';
import type { Routes } from '../http/create-app.ts';
import type { Metrics } from '../http/metrics.ts';
import type { UpgradeHandler } from '../http/upgrade.ts';
import type { Store } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import type { Bot } from './bots/bot.ts';
import { createIdentityRegistry } from './identity-registry.ts';
import type { Identities } from './identity.ts';
import type { BearerSessions } from './live-session.ts';
import { createHistory } from './history.ts';
import { createReadMessages } from './read-messages.ts';
import { createIdentityRoutes } from './routes/identities.ts';
import { createRealTimeRoutes } from './routes/real-time.ts';
import { createSocketServer } from './socket/create-socket-server.ts';
import { SOCKET_LIMITS, type SocketLimits } from './socket/limits.ts';
import { createTickets } from './socket/tickets.ts';
import { createStart } from './start.ts';

export interface SessionsSettings {
  /** Under what URL sockets are reached from outside. A function, since the port may be chosen when it listens. */
  readonly publicUrl: () => string;
  readonly rateLimitPerMinute: number;
  /** How long the bot may take for an answer, in milliseconds. */
  readonly botTimeoutMs: number;
  /** Limits of the web sockets that are not to be the usual ones. */
  readonly socketLimits?: Partial<SocketLimits>;
}

export interface SessionsDeps {
  readonly store: Store;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly directory: AppDirectory;
  readonly bearers: BearerSessions;
  readonly identities: Identities;
  /** What answers. Absent: there are no real-time sessions. */
  readonly bot: Bot | undefined;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Users and their real-time sessions. */
export interface Sessions {
  /** What the admin alone may call. */
  readonly adminRoutes: Routes;
  readonly routes: Routes;
  /** Takes or refuses an upgrade of a connection. */
  readonly onUpgrade: UpgradeHandler;
  /** Closes every socket in good order. */
  close(): Promise<void>;
}

export function createSessions(settings: SessionsSettings, deps: SessionsDeps): Sessions {
  const { rateLimitPerMinute, publicUrl, botTimeoutMs } = settings;
  const { store, bearers, bot } = deps;
  const tickets = createTickets(store.tickets);
  const history = createHistory({ ...deps, conversations: store.conversations });
  const start = createStart({ tickets, hasBot: bot !== undefined, publicUrl });
  const sockets = createSocketServer({
    ...deps,
    tickets,
    history,
    botTimeoutMs,
    limits: { ...SOCKET_LIMITS, ...settings.socketLimits },
    addresses: createAddressLimit(rateLimitPerMinute),
  });
  const registry = createIdentityRegistry({
    ...deps,
    documents: store.documents,
    store: store.identities,
    sessions: store.sessions,
    readMessages: createReadMessages({ ...deps, conversations: store.conversations }),
  });
  return {
    adminRoutes: createIdentityRoutes({ registry, logger: deps.logger }),
    routes: createRealTimeRoutes({ bearers, start, history, rateLimitPerMinute }),
    onUpgrade: (req, socket, head) => sockets.onUpgrade(req, socket, head),
    close: () => sockets.close(),
  };
}
