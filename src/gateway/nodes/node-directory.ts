import type { Presence, PresenceStore } from '../../stores/ports.ts';
import { NODE_EXPIRES_MS, NODE_PREFIX, parseNodeRecord, toNodeOwner } from './node-record.ts';

/** How often the records are read although nobody told of a change, in milliseconds: nobody tells of those that expire. */
export const RELOAD_EVERY_MS = 5_000;
/** The least time from one reading of the records to the next, in milliseconds, however many wait for it. */
export const RELOAD_PAUSE_MS = 200;

/** Another gateway node, as it told of itself last. */
export interface KnownNode {
  readonly nodeId: string;
  readonly address: string;
  /**
   * Whether the store says so now. Else it is away or has forgotten, and only a connection that is open shows that the
   * node is there.
   */
  readonly isConfirmed: boolean;
}

/** A copy of what the other nodes tell of themselves. */
export interface NodeDirectory {
  /** The nodes that hold an agent of a connector. */
  findHolders(connectorId: string): readonly KnownNode[];
  /** Whether a node is known under that address, confirmed or not. */
  isKnown(nodeId: string, address: string): boolean;
  /** Resolves after a reading that began after this call; readings that come together are one. Never throws. */
  refresh(): Promise<void>;
  close(): void;
}

export interface NodeDirectoryDeps {
  readonly presence: PresenceStore;
  /** Which node this is: its own record is left out. */
  readonly nodeId: string;
  /** The store has no record of this node. */
  readonly onForgotten: () => void;
  /** One sentence for the log, once an outage and once a broken record. */
  readonly onProblem: (detail: string) => void;
  /** Time that nobody can set, in milliseconds. */
  readonly monotonicMs?: () => number;
}

interface Entry {
  readonly body: string;
  /** Absent where the body is broken. */
  readonly address?: string;
  /** Of the agents that the node holds. */
  readonly connectors: ReadonlySet<string>;
  readonly seenAtMs: number;
}

/** Begins with a reading of its own. */
export function createNodeDirectory(deps: NodeDirectoryDeps): NodeDirectory {
  const { presence, nodeId: self, onForgotten, onProblem, monotonicMs = () => performance.now() } = deps;
  /** By the node's id. */
  const entries = new Map<string, Entry>();
  let readAtMs = -Infinity;
  let startedAtMs = -Infinity;
  let next: Promise<void> | undefined;
  let running: Promise<void> | undefined;
  let isFailing = false;
  let isClosed = false;

  const toEntry = ({ owner, body }: Presence, seenAtMs: number, former: Entry | undefined): Entry => {
    if (former?.body === body) return { ...former, seenAtMs };
    try {
      const { address, agents } = parseNodeRecord(owner, body).record;
      return { body, address, connectors: new Set(agents.map(({ connector }) => connector)), seenAtMs };
    } catch (error) {
      onProblem(`what ${JSON.stringify(owner)} tells of itself is left out: ${toReason(error)}`);
      return { body, connectors: new Set(), seenAtMs };
    }
  };
  const take = (found: readonly Presence[], atMs: number): void => {
    for (const one of found) {
      const nodeId = one.owner.slice(NODE_PREFIX.length);
      if (nodeId !== self) entries.set(nodeId, toEntry(one, atMs, entries.get(nodeId)));
    }
    for (const [nodeId, { seenAtMs }] of entries) {
      if (atMs - seenAtMs > NODE_EXPIRES_MS) entries.delete(nodeId);
    }
    readAtMs = atMs;
    if (!found.some(({ owner }) => owner === toNodeOwner(self))) onForgotten();
  };
  const read = async (): Promise<void> => {
    startedAtMs = monotonicMs();
    try {
      const found = await presence.list(NODE_PREFIX);
      if (!isClosed) take(found, monotonicMs());
      isFailing = false;
    } catch (error) {
      if (!isFailing && !isClosed) onProblem(`the other gateways are not known: ${toReason(error)}`);
      isFailing = true;
    }
  };
  const readInTurn = async (): Promise<void> => {
    await running;
    const pauseMs = RELOAD_PAUSE_MS - (monotonicMs() - startedAtMs);
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    next = undefined;
    if (isClosed) return;
    running = read();
    await running;
  };
  const refresh = (): Promise<void> => (next ??= readInTurn());
  const refreshQuietly = (): void => void refresh();

  const isConfirmed = ({ seenAtMs }: Entry): boolean =>
    seenAtMs === readAtMs && monotonicMs() - readAtMs <= NODE_EXPIRES_MS;

  const stopWatching = presence.watch(refreshQuietly);
  const timer = setInterval(refreshQuietly, RELOAD_EVERY_MS).unref();
  refreshQuietly();

  return {
    findHolders: (connectorId) => {
      const holders: KnownNode[] = [];
      for (const [nodeId, entry] of entries) {
        if (entry.address === undefined || !entry.connectors.has(connectorId)) continue;
        holders.push({ nodeId, address: entry.address, isConfirmed: isConfirmed(entry) });
      }
      return holders;
    },
    isKnown: (nodeId, address) => entries.get(nodeId)?.address === address,
    refresh,
    close: () => {
      isClosed = true;
      clearInterval(timer);
      stopWatching();
    },
  };
}

function toReason(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown';
}
