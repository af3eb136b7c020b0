import { type Clock, systemClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import { MAX_CLOCK_SKEW_MS, type Store, type StoreHealth } from './ports.ts';
import { createRedisAudit } from './redis-audit.ts';
import { createRedisClaims } from './redis-claims.ts';
import { createRedisConnection } from './redis-connection.ts';
import { createRedisConversations } from './redis-conversations.ts';
import { createWriteWithCopies } from './redis-copies.ts';
import { createRedisCounters } from './redis-counters.ts';
import { createRedisDocuments } from './redis-documents.ts';
import { createRedisEndings } from './redis-endings.ts';
import { createRedisIdentities } from './redis-identities.ts';
import { createRedisPresence } from './redis-presence.ts';
import { createRedisSealed } from './redis-sealed.ts';
import { createRedisSessions } from './redis-sessions.ts';
import { createRedisSubscriber } from './redis-subscriber.ts';
import { createRedisTickets } from './redis-tickets.ts';

/** How often the server's settings and clock are looked at, in milliseconds: they can be changed under us. */
const LOOK_EVERY_MS = 10_000;

export interface RedisStoreDeps {
  /** `redis://` or `rediss://`, credentials included. */
  readonly url: Secret;
  /** Replicas that must hold an exchange before it is granted; 0 for none. */
  readonly waitReplicas: number;
  /** Told of every connection problem; holds no secret. */
  readonly onProblem: (detail: string) => void;
  /** The wall clock that is held against the server's. */
  readonly clock?: Clock;
}

/**
 * The store of several instances: one Redis server. Connects in the background; until it is connected, every call
 * is refused with `store_unavailable`. Refuses exchanges on a server that may evict keys, or whose clock is far from ours: a lost
 * replay record is a replay let through.
 */
export function createRedisStore({ url, waitReplicas, onProblem, clock = systemClock }: RedisStoreDeps): Store {
  const connection = createRedisConnection(url, clock, onProblem);
  let unsafe: string | undefined;

  // SECURITY: a record lives by the server's clock, an assertion by ours. One of a clock that was set back would outlive it.
  const describeSkew = (): string | undefined => {
    const skewMs = connection.skewMs();
    return Math.abs(skewMs) <= MAX_CLOCK_SKEW_MS
      ? undefined
      : `redis: the clock here is ${Math.round(skewMs / 1000)} s ahead of redis', at most ${MAX_CLOCK_SKEW_MS / 1000} s are safe`;
  };
  const findProblem = async (): Promise<string | undefined> => {
    await connection.learnClock();
    const skew = describeSkew();
    if (skew) return skew;
    const memory = await connection.client.info('memory');
    const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] ?? 'unknown';
    const isBounded = !/^maxmemory:0\s*$/m.test(memory);
    return isBounded && policy !== 'noeviction'
      ? `redis: maxmemory-policy is ${policy}, must be noeviction`
      : undefined;
  };
  const checkSettings = async (): Promise<void> => {
    const problem = await findProblem();
    if (problem && problem !== unsafe) onProblem(problem);
    unsafe = problem;
  };
  connection.onReady(checkSettings);

  const checkSafe = (): void => {
    const problem = unsafe ?? describeSkew();
    if (problem) throw new AppError('store_unavailable', { detail: problem });
  };
  const write = createWriteWithCopies(connection, waitReplicas);
  const subscriber = createRedisSubscriber(connection, onProblem);
  const endings = createRedisEndings(subscriber);
  const sessions = createRedisSessions({
    connection,
    onEnded: endings.tell,
    waitReplicas,
    checkSafe,
  });
  const documents = createRedisDocuments(connection, subscriber);

  const health = async (): Promise<StoreHealth> => {
    try {
      await connection.call(checkSettings);
    } catch (error) {
      return {
        isReady: false,
        problem: error instanceof AppError ? (error.detail ?? error.code) : 'redis does not answer',
      };
    }
    return unsafe ? { isReady: false, problem: unsafe } : { isReady: true };
  };

  const timer = setInterval(() => void health(), LOOK_EVERY_MS);
  timer.unref();

  return {
    documents: documents.store,
    sessions: sessions.store,
    identities: createRedisIdentities(connection, endings.tell),
    conversations: createRedisConversations(connection),
    tickets: createRedisTickets(connection),
    endings,
    presence: createRedisPresence(connection, subscriber),
    claims: createRedisClaims({ write, checkSafe }),
    audit: createRedisAudit({ connection, write }),
    counters: createRedisCounters(connection),
    sealed: createRedisSealed(connection),
    description: `redis (shared by all instances; as durable as its persistence${waitReplicas > 0 ? `, on ${waitReplicas} replicas before a grant` : ''})`,
    health,
    close: async () => {
      clearInterval(timer);
      documents.close();
      sessions.close();
      subscriber.close();
      await connection.close();
    },
  };
}
