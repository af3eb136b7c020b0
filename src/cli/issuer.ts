import { ConfigError } from '../config/config-error.ts';
import { loadConfig } from '../config/load-config.ts';
import type { Command } from './command.ts';
import { createServerBase, untilStopped } from './runtime.ts';
import { startIssuer, toIssuerIdentity } from './start-issuer.ts';

/** `countersign issuer`: the customer's side alone. */
export const issuerCommand: Command = {
  usage: '',
  summary: 'run the issuer: turn a user id into a signed token',
  run: async ({ env, stop }) => {
    const config = loadConfig(env, 'issuer');
    const identity = toIssuerIdentity(config);
    if (identity === undefined) throw new ConfigError(['COUNTERSIGN_CLIENT_ID: is needed by the issuer']);
    const base = createServerBase(config);
    const server = await startIssuer(config, base, identity);
    base.logger.info({ url: server.url, clientId: identity.clientId, callerAuth: config.callerAuth }, 'issuer listens');
    await untilStopped(stop);
    await server.close();
    base.logger.info('issuer stopped');
  },
};
