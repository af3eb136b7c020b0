import { MAX_CLOCK_TOLERANCE_SECONDS } from '../src/jose/limits.ts';
import { MAX_CLOCK_SKEW_MS } from '../src/stores/ports.ts';
import { type ExchangeCosts, type Needs, toNeeds, type Usage } from './capacity.ts';
import type { GrowthRun } from './growth-run.ts';
import { toCount, toMedian, toRow } from './report.ts';

/** Exchanges a second. */
const RATES = [1_000, 100_000, 10_000_000] as const;
const GIB = 2 ** 30;
const SECONDS_PER_MS = 0.001;

/** The lives are those that are in force where nothing is set. */
export const USAGE: Usage = {
  assertionSeconds: 300,
  recordMarginSeconds: MAX_CLOCK_TOLERANCE_SECONDS + 2 * MAX_CLOCK_SKEW_MS * SECONDS_PER_MS,
  bearerSeconds: 3_600,
  busyShare: 0.7,
  shardBytes: 64 * GIB,
};

/** Scaled by a prefix, to three digits. */
export function toScaled(value: number, unit: string): string {
  const [factor, prefix] = (
    [
      [1e12, 'T'],
      [1e9, 'G'],
      [1e6, 'M'],
      [1e3, 'k'],
    ] as const
  ).find(([least]) => value >= least) ?? [1, ''];
  return `${Number((value / factor).toPrecision(3))} ${prefix}${unit}`.trimEnd();
}

/** The costs that the model is fed: those of Redis with the most live exchanges that were measured. @throws TypeError where there are none */
export function toCosts({ bytes, wire, growth }: GrowthRun): ExchangeCosts {
  const rounds = growth.redis.steps.at(-1)?.rounds;
  if (rounds === undefined) throw new TypeError('nothing was measured on redis');
  return {
    serverMicroseconds: toMedian(rounds.map(({ loaded }) => loaded.cpuMicroseconds)),
    redisMicroseconds: toMedian(rounds.map(({ loaded }) => loaded.redisMicroseconds)),
    jtiBytes: bytes.redis.jti,
    sessionBytes: bytes.redis.session,
    httpBytes: wire.http,
    redisNetBytes: wire.redis,
  };
}

const ROWS: readonly (readonly [string, (needs: Needs) => string])[] = [
  ['cores for idproxies', ({ idproxyCores }) => toCount(idproxyCores)],
  ['Redis shards, one core each', ({ redisShards, bound }) => `${toCount(redisShards)} (by ${bound})`],
  ['live `jti` records', ({ liveJtis }) => toScaled(liveJtis, '')],
  ['live sessions', ({ liveSessions }) => toScaled(liveSessions, '')],
  ['memory for `jti` records', ({ jtiBytes }) => toScaled(jtiBytes, 'B')],
  ['memory for sessions', ({ sessionBytes }) => toScaled(sessionBytes, 'B')],
  ['callers ↔ idproxies', ({ httpBitsPerSecond }) => toScaled(httpBitsPerSecond, 'bit/s')],
  ['idproxies ↔ Redis', ({ redisBitsPerSecond }) => toScaled(redisBitsPerSecond, 'bit/s')],
];

/** The model as Markdown: what went in, and what comes out for each rate. */
export function toCapacityTables(costs: ExchangeCosts, usage: Usage): string {
  const needs = RATES.map((rate) => toNeeds(rate, costs, usage));
  const inputs = [
    ['idproxy CPU, µs/exchange', toCount(costs.serverMicroseconds)],
    ['Redis CPU, µs/exchange', costs.redisMicroseconds.toFixed(1)],
    ['bytes of a `jti` record', toCount(costs.jtiBytes)],
    ['bytes of a session', toCount(costs.sessionBytes)],
    ['bytes over HTTP, both ways', toCount(costs.httpBytes)],
    ['bytes to Redis and back', toCount(costs.redisNetBytes)],
    ['life of an assertion, s', toCount(usage.assertionSeconds)],
    ['life of a `jti` record beyond that, s', toCount(usage.recordMarginSeconds)],
    ['life of a bearer, s', toCount(usage.bearerSeconds)],
    ['the share of its time that a core may be busy', usage.busyShare.toFixed(2)],
    ['memory of a shard', `${toCount(usage.shardBytes / GIB)} GiB`],
  ];
  return [
    toRow(['exchanges a second', ...RATES.map(toCount)]),
    `|---|${RATES.map(() => '--:|').join('')}`,
    ...ROWS.map(([title, toText]) => toRow([title, ...needs.map(toText)])),
    '',
    toRow(['what the model is fed', '']),
    '|---|--:|',
    ...inputs.map(toRow),
  ].join('\n');
}
