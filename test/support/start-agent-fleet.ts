import { fileURLToPath } from 'node:url';

import { type Child, startChild } from './child.ts';

/** What a fleet of agents is told. PEM texts. */
export interface FleetOrder {
  readonly count: number;
  readonly gatewayUrl: string;
  readonly connectorId: string;
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** Agents of one connector, all in one process. */
export interface AgentFleet extends Child {
  /** How often agents have connected since it began. */
  connections(): number;
  /** How long each of them waited first, in milliseconds. */
  firstWaits(): number[];
}

const SCRIPT = fileURLToPath(new URL('./agent-fleet.js', import.meta.url));

/** Starts it. Whoever starts it stops it. */
export async function startAgentFleet(order: FleetOrder): Promise<AgentFleet> {
  const input = JSON.stringify(order);
  const child = await startChild({ command: process.execPath, args: [SCRIPT], cwd: '/', input });
  return {
    ...child,
    connections: () => child.stdout().split('connected ').length - 1,
    firstWaits: () => {
      const waits = new Map<string, number>();
      for (const [, agent = '', ms] of child.stdout().matchAll(/^waits (\d+) ([\d.]+)$/gm)) {
        if (!waits.has(agent)) waits.set(agent, Number(ms));
      }
      return [...waits.values()];
    },
  };
}
