/**
 * Many agents in one process, each with an instance id of its own, all with one certificate. Reads one JSON object
 * ({@link IdleAgents}) from the standard input, and stops them all on SIGTERM.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';

import { type Agent, startAgent } from '../src/connector/agent.ts';
import { systemClock } from '../src/core/clock.ts';
import { Secret } from '../src/core/secret.ts';

export interface IdleAgents {
  readonly count: number;
  readonly gatewayUrl: string;
  readonly connectorId: string;
  /** PEM. */
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

const { count, gatewayUrl, connectorId, key, cert, ca } = JSON.parse(await text(process.stdin)) as IdleAgents;
const nothing = (): void => undefined;

const agents: Agent[] = Array.from({ length: count }, () =>
  startAgent({
    config: {
      credentials: { key: new Secret(key), cert, ca, connectorId, expiresAt: Infinity },
      gatewayUrls: [gatewayUrl],
      mappings: [
        {
          name: 'origin', virtualHost: 'idle.virtual', virtualPort: 80, internalHost: '127.0.0.1', internalPort: 9,
          protocol: 'http', allowedPaths: '/*', upgrade: false, allowEncodedSlash: false,
        }, // prettier-ignore
      ],
    },
    self: { instance: randomUUID(), worker: 1, version: 'bench', hostname: 'bench' },
    log: { error: nothing, warn: nothing, info: nothing, debug: nothing },
    audit: { request: nothing, connection: nothing, canRecord: () => true },
    clock: systemClock,
    random: (below) => (below < 1 ? 0 : randomInt(Math.ceil(below))),
  }),
);

process.once('SIGTERM', () => {
  void Promise.all(agents.map((agent) => agent.stop(0))).then(() => process.exit(0));
});
