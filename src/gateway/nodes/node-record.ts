import { z } from 'zod';

import { JsonError, parseJsonObject } from '../../core/json.ts';

/** How often a gateway says that it is there, in milliseconds. */
export const HEARTBEAT_EVERY_MS = 10_000;
/** How long a gateway counts as there after it said so last, in milliseconds. */
export const NODE_EXPIRES_MS = 25_000;
/** How long it is known when a connector was last there, in milliseconds. */
export const SEEN_EXPIRES_MS = 34_560_000_000;

/** What stands before the id of a gateway node where it tells of itself. */
export const NODE_PREFIX = 'gateway:';
export const toNodeOwner = (nodeId: string): string => `${NODE_PREFIX}${nodeId}`;
/** Where it is told when a connector was last there. */
export const toSeenOwner = (connectorId: string): string => `seen:${connectorId}`;

const NODE_ID = /^[\w.-]{1,100}$/;
const MAX_PORT = 65_535;

const nodeRecord = z.object({
  /** `host:port` of its port for agents and other nodes; an IPv6 address in brackets. */
  address: z.string().refine((address) => parseNodeAddress(address) !== undefined),
  /** Requests in flight. */
  load: z.int().min(0),
  agents: z.array(
    z.object({
      connector: z.string().min(1),
      instance: z.string(),
      worker: z.int(),
      hostname: z.string(),
      version: z.string(),
      /** In seconds since the epoch. */
      connectedAt: z.number(),
    }),
  ),
});

/** What a gateway node tells the others of itself. */
export type NodeRecord = z.output<typeof nodeRecord>;
/** An agent that is connected to a node. */
export type NodeAgent = NodeRecord['agents'][number];

/** A record that is not what it should be. The message quotes nothing of it. */
export class NodeRecordError extends Error {
  override readonly name = 'NodeRecordError';
}

/** What a node told under an owner. Members that a later version adds are left out. @throws NodeRecordError */
export function parseNodeRecord(owner: string, body: string): { nodeId: string; record: NodeRecord } {
  const nodeId = owner.slice(NODE_PREFIX.length);
  if (!owner.startsWith(NODE_PREFIX) || !NODE_ID.test(nodeId)) throw new NodeRecordError('the id is no id of a node');
  let members: unknown;
  try {
    members = parseJsonObject(body);
  } catch (error) {
    throw new NodeRecordError(error instanceof JsonError ? `the record ${error.message}` : 'the record is broken');
  }
  const parsed = nodeRecord.safeParse(members);
  if (parsed.success) return { nodeId, record: parsed.data };
  throw new NodeRecordError(`the record is wrong at "${parsed.error.issues[0]?.path.join('.') ?? ''}"`);
}

/** Where a node listens. @returns undefined for what is no `host:port` */
export function parseNodeAddress(address: string): { host: string; port: number } | undefined {
  const [, bracketed, name, digits] = /^(?:\[([\da-f:.]{2,45})\]|([\w.-]{1,253})):(\d{1,5})$/i.exec(address) ?? [];
  const [host, port] = [bracketed ?? name, Number(digits)];
  return host !== undefined && port >= 1 && port <= MAX_PORT ? { host, port } : undefined;
}
