import { loadConfig } from '../config/load-config.ts';
import type { Command } from './command.ts';
import { createServerBase, untilStopped } from './runtime.ts';
import { startIdproxy } from './start-idproxy.ts';

/** `countersign idproxy`: the platform's side alone. */
export const idproxyCommand: Command = {
  usage: '',
  summary: 'run the idproxy: verify assertions and exchange them for bearers',
  run: async ({ env, stop, print }) => {
    const config = loadConfig(env, 'idproxy');
    const base = createServerBase(config);
    const idproxy = await startIdproxy(config, base, print);
    base.logger.info({ url: idproxy.server.url, store: idproxy.store.description }, 'idproxy listens');
    await untilStopped(stop);
    await idproxy.close();
    base.logger.info('idproxy stopped');
  },
};
