import type { ClaimStore } from './ports.ts';
import type { WriteWithCopies } from './redis-copies.ts';
import { toClaimKey } from './redis-keys.ts';

export interface RedisClaimsDeps {
  readonly write: WriteWithCopies;
  /** @throws AppError `store_unavailable` where the server may lose a name before its time */
  readonly checkSafe: () => void;
}

/**
 * Claimed names in Redis: `SET … NX PX`. A command that is answered too late may have taken the name, for nobody: whoever
 * asks again is told that it was taken.
 */
export function createRedisClaims({ write, checkSafe }: RedisClaimsDeps): ClaimStore {
  return {
    claim: async (key, expiresInMs) => {
      checkSafe();
      const reply = await write((client) => client.set(toClaimKey(key), '', 'PX', Math.ceil(expiresInMs), 'NX'));
      return reply === 'OK';
    },
  };
}
