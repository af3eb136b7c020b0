import type { Redis } from 'ioredis';

import { AppError } from '../core/errors.ts';
import type { RedisConnection } from './redis-connection.ts';

/** How long replicas may take to take a write over, in milliseconds. */
const COPY_TIMEOUT_MS = 250;

/**
 * Sends one writing command, and waits until the configured number of replicas hold what it wrote.
 * @throws AppError `store_unavailable` also where it was written and too few replicas have it
 */
export type WriteWithCopies = <T>(send: (client: Redis) => Promise<T>) => Promise<T>;

export function createWriteWithCopies(connection: RedisConnection, waitReplicas: number): WriteWithCopies {
  return async (send) =>
    connection.call(async (client) => {
      const result = await send(client);
      if (waitReplicas === 0) return result;
      const copyCount = await client.wait(waitReplicas, COPY_TIMEOUT_MS);
      if (copyCount >= waitReplicas) return result;
      throw new AppError('store_unavailable', {
        detail: `redis: ${copyCount} of ${waitReplicas} replicas hold a write`,
      });
    });
}
