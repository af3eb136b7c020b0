import type { TLSSocket } from 'node:tls';

import type { Hello } from '../../tunnel/messages.ts';
import type { BufferBudget } from '../../tunnel/receive-window.ts';
import type { RemoteWays, Way } from '../way.ts';
import { dialNode, type NodeIdentity, type NodeTarget } from './dial-node.ts';
import type { KnownNode, NodeDirectory } from './node-directory.ts';
import { createNodeLink, type NodeLink } from './node-link.ts';

/** How long a request waits for a connection to another node, in milliseconds. */
export const LINK_WAIT_MS = 2_000;
/** How long a connection to another node is kept without a request, in milliseconds. */
export const LINK_IDLE_MS = 300_000;
/** How often connections to nodes are looked over, in milliseconds. */
const TIDY_EVERY_MS = 5_000;

export interface RemoteWaysDeps {
  readonly directory: NodeDirectory;
  /** What this node says of itself to the others. */
  readonly hello: Hello;
  /** What it shows them: read at every dial, so that a new certificate is used. */
  readonly identity: () => NodeIdentity;
  /** Of the process. */
  readonly budget: BufferBudget;
  readonly onProblem: (detail: string) => void;
  /** Time that nobody can set, in milliseconds. */
  readonly monotonicMs?: () => number;
}

/** {@link RemoteWays}, and what they keep open. */
export interface NodeLinks extends RemoteWays {
  /** Gives up the connections that nobody needs any more, as it is done now and then by itself. */
  tidy(): void;
  close(): void;
}

/** Ways over other nodes, one hop each. */
export function createRemoteWays(deps: RemoteWaysDeps): NodeLinks {
  const { directory, hello, identity, budget, onProblem, monotonicMs = () => performance.now() } = deps;
  const dial = (target: NodeTarget, signal: AbortSignal): Promise<TLSSocket> => dialNode(target, identity(), signal);
  const links = new Map<string, NodeLink>();
  /** Given up, with requests that still go on. */
  const leaving = new Set<NodeLink>();
  let isClosed = false;

  const toLink = ({ nodeId, address }: NodeTarget): NodeLink => {
    const name = `${nodeId} ${address}`;
    const link =
      links.get(name) ?? createNodeLink({ target: { nodeId, address }, dial, hello, budget, onProblem, monotonicMs });
    links.set(name, link);
    return link;
  };
  const tidy = (): void => {
    for (const [name, link] of links) {
      const { nodeId, address } = link.target;
      const isIdle = link.streamCount === 0 && monotonicMs() - link.usedAtMs > LINK_IDLE_MS;
      if (!isIdle && directory.isKnown(nodeId, address)) continue;
      links.delete(name);
      link.leave();
      leaving.add(link);
    }
    for (const link of leaving) {
      if (link.streamCount === 0) leaving.delete(link);
    }
  };
  const timer = setInterval(tidy, TIDY_EVERY_MS).unref();

  const findOpen = async (nodes: readonly KnownNode[], connectorId: string): Promise<readonly Way[]> => {
    const known = nodes.map((node) => ({ node, link: toLink(node) }));
    const toWays = (): Way[] => known.filter(({ link }) => link.isOpen).map(({ link }) => toWay(link, connectorId));
    const dialled = known
      .filter(({ node, link }) => node.isConfirmed && !link.isOpen)
      .map(async ({ link }) => {
        await link.connect();
        if (!link.isOpen) throw new Error('not reached');
      });
    const first = Promise.any(dialled).catch(() => undefined);
    if (toWays().length === 0) await withinMs(first, LINK_WAIT_MS);
    return toWays();
  };

  return {
    find: async (connectorId) => {
      let nodes = directory.findHolders(connectorId);
      if (nodes.length === 0) {
        await directory.refresh();
        nodes = directory.findHolders(connectorId);
      }
      return isClosed ? [] : findOpen(nodes, connectorId);
    },
    tidy,
    close: () => {
      isClosed = true;
      clearInterval(timer);
      for (const link of [...links.values(), ...leaving]) link.close();
      links.clear();
    },
  };
}

function toWay(link: NodeLink, connectorId: string): Way {
  return {
    label: link.target.nodeId,
    get inFlight() {
      return link.streamCount;
    },
    table: undefined,
    open: (head, handlers, isLast) =>
      // SECURITY: what came from a node goes to no other one, else requests could go round for ever.
      head.connector === undefined
        ? link.take()?.open({ ...head, connector: connectorId }, handlers, isLast)
        : undefined,
  };
}

async function withinMs(promise: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([promise, late]);
  clearTimeout(timer);
}
