import assert from 'node:assert/strict';

import { Secret } from '../../src/core/secret.ts';
import { createRedisStore } from '../../src/stores/redis.ts';
import type { ExchangeAttempt, Store } from '../../src/stores/ports.ts';
import { findBody, replayKeyOf, TAG, until } from './attempts.ts';

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

/** The name of an attempt's replay record in Redis. */
export const recordOf = (attempt: ExchangeAttempt): string => `cs:{${TAG}}:${replayKeyOf(attempt)}`;
/** The name of its session. */
export const sessionOf = (attempt: ExchangeAttempt): string => `cs:{${TAG}}:ses:${attempt.session.key}`;

/** The name of its identity. */
export const identityOf = ({ identity }: ExchangeAttempt): string => `cs:idn:${identity.id}`;
/** Everything that an attempt may leave. */
export const keysOf = (attempt: ExchangeAttempt): string[] => [
  recordOf(attempt),
  sessionOf(attempt),
  identityOf(attempt),
];

/** Asserts that an attempt can be made exactly once more. */
export async function expectOneGrant(store: Store, attempt: ExchangeAttempt): Promise<void> {
  assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
  assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'replayed' });
  assert.equal(await findBody(store, TAG, attempt.session.key), attempt.session.body);
}
