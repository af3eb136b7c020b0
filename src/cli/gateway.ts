import { loadConfig } from '../config/load-config.ts';
import type { Command } from './command.ts';
import { createServerBase, untilStopped } from './runtime.ts';
import { startGateway } from './start-gateway.ts';

/** `countersign gateway`: what connectors dial, and what relays to them. */
export const gatewayCommand: Command = {
  usage: '',
  summary: 'run the gateway: accept connectors, relay requests to the applications behind them, make service calls',
  run: async ({ env, stop, version }) => {
    const config = loadConfig(env, 'gateway');
    const base = createServerBase(config);
    const { server, gateway, storeDescription, close } = await startGateway(config, base, version);
    base.logger.info(
      { callers: server.url, agentPort: gateway.agentPort, node: gateway.nodeId, store: storeDescription },
      'gateway listens',
    );
    await untilStopped(stop);
    await close();
    base.logger.info('gateway stopped');
  },
};
