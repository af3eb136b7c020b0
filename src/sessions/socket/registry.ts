import type { Ending } from '../../stores/ports.ts';
import type { Connection } from './connection.ts';

/** The sockets of this process: open ones, and those that are gone and whose messages still wait for the bot. */
export interface Registry {
  add(connection: Connection): void;
  delete(connection: Connection): void;
  all(): readonly Connection[];
  /** Sockets that end with something, or come from one address. */
  of(kind: Ending['kind'] | 'address', id: string): readonly Connection[];
  count(): number;
}

export function createRegistry(): Registry {
  const all = new Set<Connection>();
  const byEnding = new Map<string, Set<Connection>>();
  const keysOf = ({ live, address }: Connection): string[] => [
    `address ${address}`,
    `session ${live.id}`,
    `identity ${live.identityId}`,
    `conversation ${live.conversation}`,
  ];
  return {
    add: (connection) => {
      all.add(connection);
      for (const key of keysOf(connection)) byEnding.set(key, (byEnding.get(key) ?? new Set()).add(connection));
    },
    delete: (connection) => {
      all.delete(connection);
      for (const key of keysOf(connection)) {
        const connections = byEnding.get(key);
        connections?.delete(connection);
        if (connections?.size === 0) byEnding.delete(key);
      }
    },
    all: () => [...all],
    of: (kind, id) => [...(byEnding.get(`${kind} ${id}`) ?? [])],
    count: () => all.size,
  };
}
