import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { toCeilingTable, toLatency, toLatencyTable, toRateTable } from '../../../bench/rate-tables.ts';
import { createMeasured } from './measured-run.ts';

const toRows = (table: string): string[] => table.split('\n').slice(2);

describe('the tables of the bench', () => {
  it('have a line for each contestant, measured against the first in the same round', () => {
    const measured = [
      createMeasured('first', [10_000, 40_000, 20_000]),
      createMeasured('second', [5_000, 4_000, 8_000]),
    ];
    assert.deepEqual(toRows(toRateTable(measured)), [
      '| the first | 20,000 | 10,000 – 40,000 | 1.00 | 50 | 1.00 |',
      '| the second | 5,000 | 4,000 – 8,000 | 0.40 | 200 | 0.40 |',
    ]);
    assert.throws(() => toRateTable([]), TypeError);
  });

  it('have a line for each primitive', () => {
    const ceilings = [{ id: 'sign', name: 'signatures', rates: [3_000, 1_000, 2_000.4] }];
    assert.deepEqual(toRows(toCeilingTable(ceilings)), ['| signatures | 2,000 | 1,000 – 3,000 |']);
  });

  const LATENCY = {
    id: 'a',
    name: 'the a',
    rate: 1_234.5,
    rounds: [
      { p50Ms: 1, p99Ms: 9, maxMs: 10 },
      { p50Ms: 3, p99Ms: 4, maxMs: 99 },
      { p50Ms: 2, p99Ms: 5, maxMs: 11 },
    ],
  };

  it('take the middle quantiles of all rounds, and the longest of all requests', () =>
    assert.deepEqual(toLatency(LATENCY), { p50Ms: 2, p99Ms: 5, maxMs: 99 }));

  it('have a line for each latency', () =>
    assert.deepEqual(toRows(toLatencyTable([LATENCY])), ['| the a | 1,235 | 2.00 | 5.00 | 2.5 | 99.00 |']));
});
