import { startRedis } from '../support/processes.ts';
import { until } from './attempts.ts';
import { openStoreOn } from './redis-backend.ts';
import { describeStore } from './store-contract.ts';

describeStore('Redis', async () => {
  const redis = await startRedis();
  return {
    open: () => openStoreOn(redis.url),
    afterwards: (_ms, isReached) => until(isReached, 'the time has come'),
    stop: redis.stop,
  };
});
