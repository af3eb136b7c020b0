import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

import type { Clock } from '../core/clock.ts';
import type { Logger } from '../http/access-log.ts';
import type { PresenceStore } from '../stores/ports.ts';
import type { Hello } from '../tunnel/messages.ts';
import { createBufferBudget } from '../tunnel/receive-window.ts';
import { acceptAgents, type AgentPort } from './accept-agents.ts';
import type { AcceptDeps } from './admit-peers.ts';
import { type CallerFront, createCallerFront } from './caller-front.ts';
import type { CallerDirectory } from './caller-registry.ts';
import { createCallerShares } from './caller-shares.ts';
import type { Authority, ServerIdentity } from './certificates/authority.ts';
import type { ConnectorDirectory } from './connector-directory.ts';
import type { DispatchDeps } from './dispatch.ts';
import { serveNodeStream } from './node-streams.ts';
import { createHeartbeat } from './nodes/heartbeat.ts';
import { createNodeDirectory } from './nodes/node-directory.ts';
import { createRemoteWays } from './nodes/remote-ways.ts';
import { createRoster } from './roster.ts';

export interface GatewaySettings {
  readonly host: string;
  readonly agentPort: number;
  /** Of the gateway's own certificate. */
  readonly names: readonly string[];
  /** Under what `host:port` other nodes reach the agent port. Absent: where it listens. */
  readonly nodeAddress: string | undefined;
  readonly version: string;
  /** Requests of one caller through connectors at one time. */
  readonly callsPerCaller: number;
}

export interface GatewayDeps {
  readonly authority: () => Promise<Authority>;
  readonly directory: ConnectorDirectory;
  readonly callers: CallerDirectory;
  readonly presence: PresenceStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onService: AcceptDeps['onService'];
  readonly countRelayed: (outcome: string) => void;
  readonly setAgentCount: (count: number) => void;
}

/** A gateway node that agents can reach. */
export interface Gateway {
  readonly nodeId: string;
  readonly agentPort: number;
  /** What stands before the routes of the caller port. */
  readonly front: CallerFront;
  /** Where calls find their ways. */
  readonly ways: DispatchDeps;
  /** Sends the agents elsewhere and lets go of everything. Requests in flight may finish. */
  close(): Promise<void>;
}

/** At which part of its life the node's certificate is replaced. */
const RENEW_AT = 2 / 3;
/** The longest time that a timer of Node's can wait for, in milliseconds. */
const MAX_TIMER_MS = 2_147_483_647;

/** Starts a gateway node: the agent port, its place among the others, and what it needs to relay. */
export async function createGateway(settings: GatewaySettings, deps: GatewayDeps): Promise<Gateway> {
  const { directory, presence, clock, logger } = deps;
  const nodeId = `gw-${randomUUID()}`;
  const hello: Hello = {
    id: nodeId,
    instance: nodeId,
    worker: 0,
    version: settings.version,
    hostname: hostname().slice(0, 100),
    node: nodeId,
  };
  const budget = createBufferBudget();
  const onProblem = (detail: string): void => logger.warn({ detail }, 'gateway');
  let identity = await issueIdentity(deps, nodeId, settings.names);
  let tellOthers = (): void => undefined;
  const roster = createRoster(() => {
    tellOthers();
    deps.setAgentCount(roster.all().length);
  });

  const agentPort = await acceptAgents({
    identity: toPem(identity),
    host: settings.host,
    port: settings.agentPort,
    hello,
    directory,
    roster,
    budget,
    clock,
    logger,
    onService: deps.onService,
    onNodeStream: (stream, head, isLast) => serveNodeStream({ directory, roster }, stream, head, isLast),
  });
  const renewal = renewIdentity(deps, identity, async () => {
    identity = await issueIdentity(deps, nodeId, settings.names);
    agentPort.setIdentity(toPem(identity));
    return identity;
  });
  const nodes = createNodeDirectory({ presence, nodeId, onForgotten: () => tellOthers(), onProblem });
  const remote = createRemoteWays({ directory: nodes, hello, identity: () => toPem(identity), budget, onProblem });
  const heartbeat = createHeartbeat({
    presence,
    nodeId,
    address: settings.nodeAddress ?? toAddress(settings.host, agentPort),
    agents: () => roster.toInstances(nodeId),
    load: () => roster.all().reduce((sum, { inFlight }) => sum + inFlight, 0),
    clock,
    onProblem,
  });
  tellOthers = heartbeat.changed;
  const ways: DispatchDeps = { directory, roster, remote, shares: createCallerShares(settings.callsPerCaller) };
  return {
    nodeId,
    agentPort: agentPort.port,
    ways,
    front: createCallerFront({ ...deps, ...ways }),
    close: async () => {
      renewal.stop();
      // First: whoever looks for this node's agents finds them elsewhere.
      await heartbeat.stop();
      await agentPort.close();
      remote.close();
      nodes.close();
    },
  };
}

async function issueIdentity({ authority }: GatewayDeps, nodeId: string, names: readonly string[]) {
  return (await authority()).issueServer(nodeId, names);
}

function toPem({ key, certificate, ca }: ServerIdentity): AcceptDeps['identity'] {
  return { key: key.reveal(), cert: certificate, ca };
}

function toAddress(host: string, { port }: AgentPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Renews at {@link RENEW_AT} of the life of what there is; where that fails, again at that part of what is left. */
function renewIdentity({ clock, logger }: GatewayDeps, first: ServerIdentity, renew: () => Promise<ServerIdentity>) {
  let timer: NodeJS.Timeout | undefined;
  const wait = ({ expiresAt }: ServerIdentity): void => {
    const leftMs = Math.max(expiresAt - clock.nowSeconds(), 60) * 1_000;
    timer = setTimeout(() => void run(expiresAt), Math.min(leftMs * RENEW_AT, MAX_TIMER_MS)).unref();
  };
  const run = async (expiresAt: number): Promise<void> => {
    try {
      wait(await renew());
    } catch (error) {
      logger.error({ reason: String(error) }, "the gateway's certificate cannot be renewed");
      wait({ ...first, expiresAt });
    }
  };
  wait(first);
  return { stop: () => clearTimeout(timer) };
}
