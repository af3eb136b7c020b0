import { AppError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import type { Store, StoreHealth } from './ports.ts';
import { createRedisConnection } from './redis-connection.ts';
import { createRedisDocuments } from './redis-documents.ts';
import { createRedisSessions } from './redis-sessions.ts';

/** How often the server is asked whether it may evict, in milliseconds: its settings can be changed under us. */
const LOOK_EVERY_MS = 10_000;

export interface RedisStoreDeps {
  /** `redis://` or `rediss://`, credentials included. */
  readonly url: Secret;
  /** Replicas that must hold an exchange before it is granted; 0 for none. */
  readonly waitReplicas: number;
  /** Told of every connection problem; holds no secret. */
  readonly onProblem: (detail: string) => void;
}

/**
 * The store of several instances: one Redis server. Connects in the background; until it is connected, every call
 * is refused with `store_unavailable`. Refuses exchanges on a server that may evict keys: a lost replay record is a replay let through.
 */
export function createRedisStore({ url, waitReplicas, onProblem }: RedisStoreDeps): Store {
  const connection = createRedisConnection(url, onProblem);
  let evictionProblem: string | undefined;

  const checkEviction = async (): Promise<void> => {
    const memory = await connection.client.info('memory');
    const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] ?? 'unknown';
    const isBounded = !/^maxmemory:0\s*$/m.test(memory);
    const problem =
      isBounded && policy !== 'noeviction' ? `redis: maxmemory-policy is ${policy}, must be noeviction` : undefined;
    if (problem && problem !== evictionProblem) onProblem(problem);
    evictionProblem = problem;
  };
  connection.onReady(checkEviction);

  const sessions = createRedisSessions({
    connection,
    waitReplicas,
    checkSafe: () => {
      if (evictionProblem) throw new AppError('store_unavailable', { detail: evictionProblem });
    },
  });
  const documents = createRedisDocuments(connection, onProblem);

  const health = async (): Promise<StoreHealth> => {
    try {
      await connection.call(checkEviction);
    } catch (error) {
      return {
        isReady: false,
        problem: error instanceof AppError ? (error.detail ?? error.code) : 'redis does not answer',
      };
    }
    return evictionProblem ? { isReady: false, problem: evictionProblem } : { isReady: true };
  };

  const timer = setInterval(() => void health(), LOOK_EVERY_MS);
  timer.unref();

  return {
    documents: documents.store,
    sessions: sessions.store,
    description: `redis (shared by all instances; as durable as its persistence${waitReplicas > 0 ? `, on ${waitReplicas} replicas before a grant` : ''})`,
    health,
    close: async () => {
      clearInterval(timer);
      documents.close();
      sessions.close();
      await connection.close();
    },
  };
}
