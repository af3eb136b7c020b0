import type { AccessRule } from '../tunnel/access.ts';
import type { RequestHead, StreamHandlers, TunnelStream } from '../tunnel/messages.ts';

/** One way to a connector: an agent that is connected here, or another node that holds one. */
export interface Way {
  /** For the log: `instance/worker` of an agent, or the node. */
  readonly label: string;
  /** Requests in flight on it. */
  readonly inFlight: number;
  /** What the agent admits; absent where another node knows. */
  readonly table: readonly AccessRule[] | undefined;
  /** @returns undefined where nothing was sent, and nothing was begun */
  open(head: RequestHead, handlers: StreamHandlers, isLast: boolean): TunnelStream | undefined;
}

/** The ways to a connector through other nodes. */
export interface RemoteWays {
  /** By the connector's id. Empty where no other live node holds it. Never throws: a store that is away means none. */
  find(connectorId: string): Promise<readonly Way[]>;
}
