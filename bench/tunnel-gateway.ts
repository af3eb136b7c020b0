import { join, resolve } from 'node:path';

import { type Child, startChild, waitUntilReady } from '../test/support/child.ts';
import type { ConnectorChain } from '../test/support/connector-chain.ts';
import { getFreePort } from '../test/support/processes.ts';
import { isListening } from './server.ts';
import type { TunnelWay } from './tunnel-way.ts';

const HOST = '127.0.0.1';
const READY_TIMEOUT_MS = 30_000;
/** How callers name the origin. */
const VIRTUAL = { host: 'origin.virtual', port: 80 } as const;

/** A gateway of the bench, its log in a file. */
export interface BenchGateway {
  readonly child: Child;
  readonly callerUrl: string;
  readonly agentUrl: string;
}

/** Starts `countersign gateway` beside the idproxy of `chain`. */
export async function startBenchGateway(chain: ConnectorChain, folder: string): Promise<BenchGateway> {
  const ports = { caller: await getFreePort(), agent: await getFreePort() };
  const log = join(folder, `gateway-${ports.caller}.log`);
  const child = await startChild({
    command: 'sh',
    args: [
      '-c',
      'log=$1; shift; exec "$@" > "$log"',
      'sh',
      log,
      process.execPath,
      resolve('dist', 'main.js'),
      'gateway',
    ],
    cwd: folder,
    env: {
      ...chain.env,
      COUNTERSIGN_GATEWAY_CALLER_PORT: String(ports.caller),
      COUNTERSIGN_GATEWAY_AGENT_PORT: String(ports.agent),
    },
  });
  await waitUntilReady(child, () => isListening(ports.caller), READY_TIMEOUT_MS);
  return { child, callerUrl: `http://${HOST}:${ports.caller}`, agentUrl: `https://localhost:${ports.agent}` };
}

/** A gateway, and an agent as it is packaged: access control and audit on, the caller's credential checked. */
export async function startGatewayWay(
  chain: ConnectorChain,
  folder: string,
  originPort: number,
  workers: number,
): Promise<TunnelWay> {
  const gateway = await startBenchGateway(chain, folder);
  const connector = await chain.addConnector({ company: `bench with ${workers}` });
  const agent = await chain.install(connector, {
    gatewayUrls: [gateway.agentUrl],
    mappings: [
      {
        virtualhost: VIRTUAL.host,
        virtualport: VIRTUAL.port,
        internalhost: HOST,
        internalport: originPort,
        protocol: 'http',
        allowedPaths: ['/small', '/medium', '/large', '/sink', '/api/*'],
      },
    ],
    config: { cluster: { enabled: workers > 1, workers } },
  });
  const process = await agent.start();
  await chain.waitForInstances(connector.id, workers);
  const token = await chain.addCaller([connector.id]);
  return {
    name: `gateway and agent, ${workers} worker${workers > 1 ? 's' : ''}`,
    url: `${gateway.callerUrl}/${connector.id}/${VIRTUAL.host}/${VIRTUAL.port}`,
    fields: [`X-Connector-Authorization: Bearer ${token}`],
    cloudPids: [gateway.child.pid],
    insidePids: [process.pid],
    stop: async () => {
      await process.stop();
      await gateway.child.stop();
    },
  };
}
