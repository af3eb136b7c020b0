import { z } from 'zod';

import type { PresenceStore } from '../stores/ports.ts';
import type { Instance } from './connector.ts';
import { NODE_PREFIX, parseNodeRecord, toSeenOwner } from './nodes/node-record.ts';

/** What gateways say of a connector. */
export interface ConnectorStatus {
  readonly instances: readonly Instance[];
  /** Absent where no agent was ever connected. */
  readonly lastConnectedAt?: number;
}

const SEEN_PREFIX = toSeenOwner('');
const seenRecord = z.object({ at: z.number() });

/** What is said in a form that can be read: one broken record takes no other with it. */
const readRecords = async <T>(
  presence: PresenceStore,
  prefix: string,
  parse: (owner: string, body: string) => T,
): Promise<T[]> =>
  (await presence.list(prefix)).flatMap(({ owner, body }) => {
    try {
      return [parse(owner, body)];
    } catch {
      return [];
    }
  });

/** The status of a connector, or of all: a function from an id. @throws AppError `store_unavailable` */
export async function readStatuses(presence: PresenceStore, id = ''): Promise<(id: string) => ConnectorStatus> {
  const [nodes, seen] = await Promise.all([
    readRecords(presence, NODE_PREFIX, parseNodeRecord),
    readRecords(presence, toSeenOwner(id), (owner, body) => ({ owner, ...seenRecord.parse(JSON.parse(body)) })),
  ]);
  const byConnector = new Map<string, Instance[]>();
  for (const { nodeId, record } of nodes) {
    for (const { connector, ...agent } of record.agents) {
      const instances = byConnector.get(connector) ?? [];
      instances.push({ node: nodeId, ...agent });
      byConnector.set(connector, instances);
    }
  }
  const seenAt = new Map(seen.map(({ owner, at }) => [owner.slice(SEEN_PREFIX.length), at]));
  return (one) => {
    const instances = byConnector.get(one) ?? [];
    const times = [...instances.map(({ connectedAt }) => connectedAt), seenAt.get(one) ?? -1];
    const last = Math.max(...times);
    return { instances, ...(last >= 0 && { lastConnectedAt: last }) };
  };
}
