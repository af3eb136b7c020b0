import { type Store, STORES } from './contestant.ts';
import { measureStoreBytes, type WireBytes } from './growth-bytes.ts';
import type { GrowthOptions } from './growth-options.ts';
import type { StoreBytes } from './growth-room.ts';
import { measureStoreGrowth, type StoreGrowth } from './growth-steps.ts';
import { measureWorkers, type WorkerRound } from './growth-workers.ts';

/** All that one run measured. */
export interface GrowthRun {
  readonly bytes: Readonly<Record<Store, StoreBytes>>;
  readonly wire: WireBytes;
  readonly growth: Readonly<Record<Store, StoreGrowth>>;
  readonly workers: readonly WorkerRound[];
}

/** Measures bytes, growth of both stores, and two workers, one after the other. */
export async function runGrowth(options: GrowthOptions): Promise<GrowthRun> {
  const redis = await measureStoreBytes('redis', options);
  if (redis.wire === undefined) throw new TypeError('nothing was sent to redis');
  const { records: embedded } = await measureStoreBytes('embedded', options);
  const bytes = { embedded, redis: redis.records };
  for (const store of Object.keys(bytes) as Store[]) {
    const { jti, session } = bytes[store];
    options.log(`${STORES[store]}: ${jti.toFixed(1)} bytes a jti record, ${session.toFixed(1)} a session`);
  }
  const workers = await measureWorkers(options);
  const growth = {
    embedded: await measureStoreGrowth('embedded', bytes.embedded, options),
    redis: await measureStoreGrowth('redis', bytes.redis, options),
  };
  return { bytes, wire: redis.wire, growth, workers };
}
