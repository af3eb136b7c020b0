import { setTimeout as sleep } from 'node:timers/promises';

import { AppError } from '../core/errors.ts';
import type { Store, StoreHealth } from './ports.ts';

const LOOK_EVERY_MS = 50;

/**
 * Waits until the store can be relied on.
 * @throws AppError `store_unavailable` with the store's problem after `timeoutMs`
 */
export async function waitUntilReady(store: Store, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs;
  let health: StoreHealth = await store.health();
  while (!health.isReady && performance.now() < end) {
    await sleep(LOOK_EVERY_MS);
    health = await store.health();
  }
  if (!health.isReady) throw new AppError('store_unavailable', { detail: health.problem });
}
