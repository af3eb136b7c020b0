/** What one exchange costs, as it was measured on one machine. */
export interface ExchangeCosts {
  /** Processor time of the idproxy, in microseconds. */
  readonly serverMicroseconds: number;
  /** Processor time of Redis, in microseconds. */
  readonly redisMicroseconds: number;
  readonly jtiBytes: number;
  readonly sessionBytes: number;
  /** Between callers and idproxy, both ways. */
  readonly httpBytes: number;
  /** Between idproxy and Redis, both ways. */
  readonly redisNetBytes: number;
}

/** How it is used. */
export interface Usage {
  /** How long an assertion lives, from its exchange on. */
  readonly assertionSeconds: number;
  /** How much longer a `jti` record lives than the assertion. */
  readonly recordMarginSeconds: number;
  readonly bearerSeconds: number;
  /** The share of its time that a core may be busy. */
  readonly busyShare: number;
  /** The memory that one Redis is given, in bytes. */
  readonly shardBytes: number;
}

/** What a rate of exchanges needs. Cores and shards are whole. */
export interface Needs {
  readonly idproxyCores: number;
  readonly redisShards: number;
  /** What asks for the shards: the time of their cores, or the memory. */
  readonly bound: 'core' | 'memory';
  readonly liveJtis: number;
  readonly liveSessions: number;
  readonly jtiBytes: number;
  readonly sessionBytes: number;
  readonly httpBitsPerSecond: number;
  readonly redisBitsPerSecond: number;
}

/** The cores that so much work fills to the share that they may be busy. */
function toCores(rate: number, microseconds: number, busyShare: number): number {
  return Math.max(1, Math.ceil((rate * microseconds) / 1e6 / busyShare));
}

/**
 * What that many exchanges a second need. Live records are the rate times their life; a Redis runs its scripts on one core, so that a
 * shard is a core, and more of them where the records do not fit otherwise.
 * @param rate - exchanges a second
 */
export function toNeeds(rate: number, costs: ExchangeCosts, usage: Usage): Needs {
  const liveJtis = rate * (usage.assertionSeconds + usage.recordMarginSeconds);
  const liveSessions = rate * usage.bearerSeconds;
  const jtiBytes = liveJtis * costs.jtiBytes;
  const sessionBytes = liveSessions * costs.sessionBytes;
  const redisCores = toCores(rate, costs.redisMicroseconds, usage.busyShare);
  const memoryShards = Math.ceil((jtiBytes + sessionBytes) / usage.shardBytes);
  return {
    idproxyCores: toCores(rate, costs.serverMicroseconds, usage.busyShare),
    redisShards: Math.max(redisCores, memoryShards),
    bound: memoryShards > redisCores ? 'memory' : 'core',
    liveJtis,
    liveSessions,
    jtiBytes,
    sessionBytes,
    httpBitsPerSecond: rate * costs.httpBytes * 8,
    redisBitsPerSecond: rate * costs.redisNetBytes * 8,
  };
}
