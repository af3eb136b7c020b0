import { randomInt } from 'node:crypto';

import type { AccessRule } from '../tunnel/access.ts';
import type { Hello, RequestHead, StreamHandlers, TunnelConnection, TunnelStream } from '../tunnel/messages.ts';
import type { Instance } from './connector.ts';
import type { Way } from './way.ts';

/** An agent that is connected to this node. */
export class Agent implements Way {
  readonly connectorId: string;
  /** Of the certificate that it showed. */
  readonly serial: string;
  /** NumericDate of the end of that certificate. */
  readonly expiresAt: number;
  readonly hello: Hello;
  readonly connectedAt: number;
  readonly connection: TunnelConnection;
  /** Nothing until the agent has said what it admits. */
  table: readonly AccessRule[] = [];

  constructor(given: Pick<Agent, 'connectorId' | 'serial' | 'expiresAt' | 'hello' | 'connectedAt' | 'connection'>) {
    this.connectorId = given.connectorId;
    this.serial = given.serial;
    this.expiresAt = given.expiresAt;
    this.hello = given.hello;
    this.connectedAt = given.connectedAt;
    this.connection = given.connection;
  }

  get label(): string {
    return `${this.hello.instance}/${this.hello.worker}`;
  }

  get inFlight(): number {
    return this.connection.streamCount;
  }

  open(head: RequestHead, handlers: StreamHandlers, isLast: boolean): TunnelStream | undefined {
    return this.connection.open(head, handlers, isLast);
  }
}

/** The agents that are connected to this node. */
export interface Roster {
  /** @returns the one of the same connector, instance and worker that it takes the place of */
  add(agent: Agent): Agent | undefined;
  /** An agent whose place was taken is not removed by this. */
  remove(agent: Agent): void;
  setTable(agent: Agent, table: readonly AccessRule[]): void;
  /** Those that have said what they admit. */
  findByConnector(connectorId: string): readonly Agent[];
  all(): readonly Agent[];
  /** What this node tells the others. */
  toInstances(node: string): readonly (Instance & { readonly connector: string })[];
}

const NOBODY: readonly Agent[] = [];

/** An empty roster. `onChange` is called when an agent came or went. */
export function createRoster(onChange: () => void): Roster {
  const agents = new Map<string, Agent>();
  const byConnector = new Map<string, Agent[]>();

  const link = (index: Map<string, Agent[]>, key: string, agent: Agent): void => {
    index.set(key, [...(index.get(key) ?? NOBODY), agent]);
  };
  const unlink = (index: Map<string, Agent[]>, key: string, agent: Agent): void => {
    const left = (index.get(key) ?? NOBODY).filter((one) => one !== agent);
    if (left.length > 0) index.set(key, left);
    else index.delete(key);
  };
  // The connector's id holds no space, nor does an instance.
  const toKey = ({ connectorId, label }: Agent): string => `${connectorId} ${label}`;

  return {
    add: (agent) => {
      const former = agents.get(toKey(agent));
      if (former !== undefined) unlink(byConnector, former.connectorId, former);
      agents.set(toKey(agent), agent);
      onChange();
      return former;
    },
    remove: (agent) => {
      if (agents.get(toKey(agent)) !== agent) return;
      agents.delete(toKey(agent));
      unlink(byConnector, agent.connectorId, agent);
      onChange();
    },
    setTable: (agent, table) => {
      if (agents.get(toKey(agent)) !== agent) return;
      unlink(byConnector, agent.connectorId, agent);
      agent.table = table;
      link(byConnector, agent.connectorId, agent);
    },
    findByConnector: (connectorId) => byConnector.get(connectorId) ?? NOBODY,
    all: () => [...agents.values()],
    toInstances: (node) =>
      [...agents.values()].map(({ connectorId, hello, connectedAt }) => ({
        connector: connectorId,
        node,
        instance: hello.instance,
        worker: hello.worker,
        hostname: hello.hostname,
        version: hello.version,
        connectedAt,
      })),
  };
}

/** Power of two choices: of two ways taken at random the one with less in flight. @returns undefined where there is none */
export function pickWay<T extends Way>(ways: readonly T[]): T | undefined {
  if (ways.length < 2) return ways[0];
  const first = randomInt(ways.length);
  const second = (first + 1 + randomInt(ways.length - 1)) % ways.length;
  const [one, other] = [ways[first] as T, ways[second] as T];
  return one.inFlight <= other.inFlight ? one : other;
}
