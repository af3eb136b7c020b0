import { createAppRegistry } from '../apps/registry.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import { systemClock } from '../core/clock.ts';
import type { RunningServer } from '../http/server.ts';
import { waitUntilReady } from '../stores/wait-until-ready.ts';
import { createWelcomeRoutes } from '../welcome/routes.ts';
import { toBanner } from './banner.ts';
import type { Command } from './command.ts';
import { loadDemoApp } from './demo-app.ts';
import { createServerBase, type ServerBase, untilStopped } from './runtime.ts';
import { type RunningIdproxy, startIdproxy } from './start-idproxy.ts';
import { startIssuer, toIssuerIdentity } from './start-issuer.ts';

/** How long the store may take to be there, in milliseconds. */
const STORE_TIMEOUT_MS = 10_000;

/** `countersign start`: issuer and idproxy in one process, with a demo app. */
export const startCommand: Command = {
  usage: '',
  summary: 'run issuer and idproxy together, for a laptop or one machine',
  run: async ({ env, stop, print }) => {
    const config = loadConfig(env, 'start');
    const base = createServerBase(config);
    const idproxy = await startIdproxy(config, base, print);
    let issuer: RunningServer | undefined;
    try {
      issuer = await startBoundIssuer(config, base, idproxy);
      print(
        toBanner({
          issuerUrl: issuer.url,
          idproxyUrl: idproxy.url,
          storeDescription: idproxy.store.description,
          isOpen: (config.callerAuth ?? 'open') === 'open',
          adminToken: idproxy.madeAdminToken,
        }),
      );
      await untilStopped(stop);
    } finally {
      await Promise.all([issuer?.close(), idproxy.close()]);
    }
  },
};

async function startBoundIssuer(config: Config, base: ServerBase, idproxy: RunningIdproxy): Promise<RunningServer> {
  await waitUntilReady(idproxy.store, STORE_TIMEOUT_MS);
  // The keys first: a store that was filled under another master key is told before anything is added to it.
  await idproxy.keyring();
  const registry = createAppRegistry({ ...idproxy.store, vault: idproxy.vault, clock: systemClock });
  const identity = toIssuerIdentity(config) ?? (await loadDemoApp(registry, config.keysDir, config.algorithm));
  const page = createWelcomeRoutes({ idproxyUrl: idproxy.url, hasSessions: config.bot !== 'none' });
  return startIssuer(config, base, identity, (app) => app.use(page));
}
