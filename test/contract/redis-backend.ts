import { Secret } from '../../src/core/secret.ts';
import { createRedisStore } from '../../src/stores/redis.ts';
import type { Store } from '../../src/stores/ports.ts';
import { until } from './attempts.ts';

/** What a test says of a store; `problems` collects what the store tells its operator. */
export interface RedisTraits {
  readonly waitReplicas?: number;
  readonly problems?: string[];
}

/** A store on that Redis, connected or not. */
export function createStoreOn(url: string, { waitReplicas = 0, problems = [] }: RedisTraits = {}): Store {
  return createRedisStore({ url: new Secret(url), waitReplicas, onProblem: (detail) => void problems.push(detail) });
}

/** Waits until the store says that it is ready. */
export function untilReady(store: Store): Promise<void> {
  return until(async () => (await store.health()).isReady, 'the store is ready');
}

/** A store on that Redis, ready for use. */
export async function openStoreOn(url: string, traits?: RedisTraits): Promise<Store> {
  const store = createStoreOn(url, traits);
  await untilReady(store);
  return store;
}
