import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type ExchangeCosts, toNeeds, type Usage } from '../../../bench/capacity.ts';
import { toCapacityTables, toCosts, toScaled, USAGE } from '../../../bench/capacity-report.ts';
import { GROWTH_RUN } from './growth-run-figures.ts';

const COSTS: ExchangeCosts = {
  serverMicroseconds: 100,
  redisMicroseconds: 20,
  jtiBytes: 130,
  sessionBytes: 500,
  httpBytes: 1_250,
  redisNetBytes: 500,
};
const HALF_BUSY: Usage = {
  assertionSeconds: 300,
  recordMarginSeconds: 100,
  bearerSeconds: 1_000,
  busyShare: 0.5,
  shardBytes: 1e9,
};

describe('the model of the capacity', () => {
  it('multiplies rate, cost and life', () =>
    assert.deepEqual(toNeeds(1_000, COSTS, HALF_BUSY), {
      idproxyCores: 1,
      redisShards: 1,
      bound: 'core',
      liveJtis: 400_000,
      liveSessions: 1_000_000,
      jtiBytes: 52_000_000,
      sessionBytes: 500_000_000,
      httpBitsPerSecond: 10_000_000,
      redisBitsPerSecond: 4_000_000,
    }));

  it('never busies a core more than it may be', () => {
    assert.equal(toNeeds(5_000, COSTS, HALF_BUSY).idproxyCores, 1);
    assert.equal(toNeeds(5_001, COSTS, HALF_BUSY).idproxyCores, 2);
  });

  it('takes as many shards as time or memory ask for, whichever is more', () => {
    const byMemory = toNeeds(100_000, COSTS, HALF_BUSY);
    assert.deepEqual([byMemory.redisShards, byMemory.bound], [56, 'memory']);
    const byCore = toNeeds(100_000, COSTS, { ...HALF_BUSY, shardBytes: 1e11 });
    assert.deepEqual([byCore.redisShards, byCore.bound], [4, 'core']);
  });

  it('is fed what was measured on Redis with the most live exchanges', () =>
    assert.deepEqual(toCosts(GROWTH_RUN), {
      serverMicroseconds: 115,
      redisMicroseconds: 21,
      jtiBytes: 130,
      sessionBytes: 501,
      httpBytes: 1_250,
      redisNetBytes: 500,
    }));

  it('counts the lives that are in force where nothing is set', () =>
    assert.deepEqual([USAGE.assertionSeconds, USAGE.recordMarginSeconds, USAGE.bearerSeconds], [300, 420, 3_600]));

  const SCALED: readonly (readonly [value: number, text: string])[] = [
    [18.24e15, '18200 TB'],
    [1.5e12, '1.5 TB'],
    [999_499_999, '999 MB'],
    [1_000, '1 kB'],
    [12, '12 B'],
  ];
  for (const [value, text] of SCALED) it(`writes ${value} as ${text}`, () => assert.equal(toScaled(value, 'B'), text));

  it('prints every rate, and what it was fed', () => {
    const table = toCapacityTables(COSTS, HALF_BUSY);
    assert.match(table, /^\| exchanges a second \| 1,000 \| 100,000 \| 10,000,000 \|$/m);
    assert.match(table, /^\| cores for idproxies \| 1 \| 20 \| 2,000 \|$/m);
    assert.match(table, /^\| Redis CPU, µs\/exchange \| 20.0 \|$/m);
  });
});
