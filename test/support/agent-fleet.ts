/**
 * Many agents in one process, each with an instance of its own. Reads what they need as JSON from its standard input, and
 * prints a line for each connection that is made or lost, and for each wait before a dial. Started by tests, see `startAgentFleet`.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';

import { startAgent } from '../../src/connector/agent.ts';
import { systemClock } from '../../src/core/clock.ts';
import { Secret } from '../../src/core/secret.ts';
import type { FleetOrder } from './start-agent-fleet.ts';

const { count, gatewayUrl, connectorId, key, cert, ca } = JSON.parse(await text(process.stdin)) as FleetOrder;
const print = (line: string): boolean => process.stdout.write(`${line}\n`);
const ignore = (): void => undefined;
const YEAR_SECONDS = 31_536_000;

for (let at = 0; at < count; at++) {
  startAgent({
    config: {
      credentials: {
        key: new Secret(key),
        cert,
        ca,
        connectorId,
        expiresAt: systemClock.nowSeconds() + YEAR_SECONDS,
      },
      gatewayUrls: [gatewayUrl],
      mappings: [],
    },
    self: { instance: randomUUID(), worker: 1, version: '0.0.0', hostname: `fleet-${at}` },
    log: {
      error: ignore,
      warn: ignore,
      info: ignore,
      debug: (_, { ms } = {}) => void (typeof ms === 'number' && print(`waits ${at} ${ms}`)),
    },
    audit: {
      request: ignore,
      connection: ({ act }) => void print(`${String(act)} ${at}`),
      canRecord: () => true,
    },
    clock: systemClock,
    random: (below) => (below < 1 ? 0 : randomInt(Math.ceil(below))),
  });
}
