import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { type Child, startChild } from '../test/support/child.ts';
import { type ConnectorChain, waitUntil } from '../test/support/connector-chain.ts';
import { readMemoryBytes } from './server.ts';
import { startBenchGateway } from './tunnel-gateway.ts';
import type { IdleAgents } from './tunnel-idle-agents.ts';

/** Agents that one gateway holds at the same time. */
export const IDLE_AGENT_COUNT = 1_000;
/** Processes that they live in. */
const PROCESS_COUNT = 2;
const CONNECT_TIMEOUT_MS = 90_000;
/** How long they are held before the memory is read, in milliseconds: two signs of life of each. */
const HOLD_MS = 14_000;

/** What a gateway takes of the machine's memory (RSS), in bytes. Nothing is collected on purpose. */
export interface IdleMemory {
  readonly emptyBytes: number;
  readonly heldBytes: number;
  /** Until all were connected, in seconds. */
  readonly connectSeconds: number;
}

/** Measures a gateway of its own with {@link IDLE_AGENT_COUNT} agents that have nothing to do. */
export async function measureIdleAgents(chain: ConnectorChain, folder: string): Promise<IdleMemory> {
  const gateway = await startBenchGateway(chain, folder);
  const connector = await chain.addConnector({ company: 'bench of idle agents' });
  const installed = await chain.install(connector, { gatewayUrls: [gateway.agentUrl], mappings: [] });
  const told: IdleAgents = {
    count: IDLE_AGENT_COUNT / PROCESS_COUNT,
    gatewayUrl: gateway.agentUrl,
    connectorId: connector.id,
    key: connector.key,
    cert: connector.cert,
    ca: await readFile(join(installed.folder, 'credentials', 'ca.crt'), 'utf8'),
  };
  const script = fileURLToPath(new URL('./tunnel-idle-agents.js', import.meta.url));
  const children: Child[] = [];
  try {
    const emptyBytes = await readMemoryBytes(gateway.child.pid);
    const startedAt = performance.now();
    for (let at = 0; at < PROCESS_COUNT; at += 1) {
      const command = { command: process.execPath, args: [script], cwd: folder, input: JSON.stringify(told) };
      children.push(await startChild(command));
    }
    const isHeld = async (): Promise<boolean> => {
      await wait(500);
      const { instances } = await chain.admin<{ instances: unknown[] }>('GET', `/connectors/${connector.id}`);
      return instances.length === IDLE_AGENT_COUNT;
    };
    await waitUntil(`${IDLE_AGENT_COUNT} agents are connected`, isHeld, CONNECT_TIMEOUT_MS);
    const connectSeconds = (performance.now() - startedAt) / 1_000;
    await wait(HOLD_MS);
    return { emptyBytes, connectSeconds, heldBytes: await readMemoryBytes(gateway.child.pid) };
  } finally {
    await Promise.all(children.map((child) => child.stop()));
    await gateway.child.stop();
  }
}
