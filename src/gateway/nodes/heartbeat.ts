import type { Clock } from '../../core/clock.ts';
import type { PresenceStore } from '../../stores/ports.ts';
import {
  HEARTBEAT_EVERY_MS,
  NODE_EXPIRES_MS,
  type NodeAgent,
  type NodeRecord,
  SEEN_EXPIRES_MS,
  toNodeOwner,
  toSeenOwner,
} from './node-record.ts';

/** How long changes among the agents are gathered before they are told, in milliseconds. */
export const ANNOUNCE_AFTER_MS = 100;
/** How soon it is tried again where the store was away, in milliseconds. */
export const ANNOUNCE_RETRY_MS = 1_000;
/** How often it is noted of a connector that is there that it is, in milliseconds. */
export const SEEN_EVERY_MS = 300_000;

export interface HeartbeatDeps {
  readonly presence: PresenceStore;
  readonly nodeId: string;
  /** Where other nodes reach this one, `host:port`. */
  readonly address: string;
  /** The agents that are connected here, now. */
  readonly agents: () => readonly NodeAgent[];
  /** Requests in flight here, now. */
  readonly load: () => number;
  readonly clock: Clock;
  /** One sentence for the log, once an outage. */
  readonly onProblem: (detail: string) => void;
}

/** A gateway node's signs of life. While the store is away it goes on trying; the node serves its own agents meanwhile. */
export interface Heartbeat {
  /** An agent came or went. */
  changed(): void;
  /** Says good-bye. A store that is away is asked once, and never throws from here. */
  stop(): Promise<void>;
}

/** Begins at once. */
export function createHeartbeat(deps: HeartbeatDeps): Heartbeat {
  const { presence, nodeId, agents, clock, onProblem } = deps;
  /** What is to be noted of connectors: when they were last there, in seconds since the epoch. */
  const unnoted = new Map<string, number>();
  let present = new Set<string>();
  let notedAt = clock.nowSeconds();
  let timer: NodeJS.Timeout | undefined;
  let dueAtMs = Infinity;
  let running: Promise<void> | undefined;
  let isFailing = false;
  let isStopped = false;

  const toRecord = (): NodeRecord => ({ address: deps.address, load: deps.load(), agents: agents().map(toNodeAgent) });
  const note = (connectors: Iterable<string>): void => {
    for (const connector of connectors) unnoted.set(connector, clock.nowSeconds());
  };
  const notePresent = (): void => {
    const now = new Set(agents().map(({ connector }) => connector));
    const isDue = Math.abs(clock.nowSeconds() - notedAt) * 1_000 >= SEEN_EVERY_MS;
    if (isDue) notedAt = clock.nowSeconds();
    note([...now].filter((connector) => isDue || !present.has(connector)));
    note([...present].filter((connector) => !now.has(connector)));
    present = now;
  };
  const tellSeen = async (): Promise<void> => {
    await Promise.all(
      [...unnoted].map(async ([connector, at]) => {
        await presence.announce(toSeenOwner(connector), JSON.stringify({ at }), SEEN_EXPIRES_MS);
        if (unnoted.get(connector) === at) unnoted.delete(connector);
      }),
    );
  };
  const tell = async (say: () => Promise<void>): Promise<void> => {
    try {
      notePresent();
      await say();
      await tellSeen();
      isFailing = false;
    } catch (error) {
      if (!isFailing) onProblem(`other gateways cannot be told of this one: ${toReason(error)}`);
      isFailing = true;
    }
  };
  const announce = (): Promise<void> =>
    presence.announce(toNodeOwner(nodeId), JSON.stringify(toRecord()), NODE_EXPIRES_MS);

  const beat = async (): Promise<void> => {
    running = tell(announce);
    await running;
    running = undefined;
    beatWithin(isFailing ? ANNOUNCE_RETRY_MS : HEARTBEAT_EVERY_MS);
  };
  const beatWithin = (ms: number): void => {
    const atMs = performance.now() + ms;
    if (isStopped || atMs >= dueAtMs) return;
    dueAtMs = atMs;
    clearTimeout(timer);
    timer = setTimeout(() => {
      dueAtMs = Infinity;
      // One after the other, so that what is said last is the latest.
      if (running === undefined) void beat();
      else void running.then(() => beatWithin(0));
    }, ms).unref();
  };

  void beat();
  return {
    changed: () => beatWithin(ANNOUNCE_AFTER_MS),
    stop: async () => {
      if (isStopped) return;
      isStopped = true;
      clearTimeout(timer);
      await running;
      note(present);
      await tell(() => presence.withdraw(toNodeOwner(nodeId)));
    },
  };
}

/** Without whatever else an agent has here. */
function toNodeAgent({ connector, instance, worker, hostname, version, connectedAt }: NodeAgent): NodeAgent {
  return { connector, instance, worker, hostname, version, connectedAt };
}

function toReason(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown';
}
