import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { toSizes } from '../../../bench/growth-options.ts';
import { judgeGrowth, toGrowthTable, toOtherTable } from '../../../bench/growth-report.ts';
import { describeShortage } from '../../../bench/growth-room.ts';
import { GROWTH_RUN } from './growth-run-figures.ts';

describe('the report of the growth', () => {
  const CASES: Readonly<Record<string, readonly [measured: string, isMet: boolean]>> = {
    'server CPU of an exchange, embedded store, 1,000,000 live exchanges': ['1.16 × (1.00 – 1.16)', false],
    'time of an exchange, embedded store, 1,000,000 live exchanges': ['1.00 × (1.00 – 1.00)', true],
    'server CPU of an exchange, Redis, 10,000,000 live exchanges': ['1.15 × (1.15 – 1.15)', true],
    'time of an exchange, Redis, 10,000,000 live exchanges': ['1.15 × (1.15 – 1.15)', true],
    'bytes of a `jti` record, Redis': ['130', true],
    'bytes of a session, Redis': ['501', false],
    'two workers on one Redis: 2 × requests per CPU-second': ['1.80 × (1.80 – 1.80)', true],
  };
  const verdicts = judgeGrowth(GROWTH_RUN);
  for (const [what, [measured, isMet]] of Object.entries(CASES)) {
    it(`judges: ${what}`, () => {
      const found = verdicts.find((one) => one.what === what);
      assert.deepEqual(found && [found.measured, found.isMet], [measured, isMet]);
    });
  }

  it('judges nothing else', () => assert.equal(verdicts.length, Object.keys(CASES).length));

  it('puts medians of both sides beside each other', () => {
    const [, , embedded, redis] = toGrowthTable(GROWTH_RUN).split('\n');
    assert.equal(
      embedded,
      '| /authorize, HS256 with jti, embedded store | 1,000,000 | 1,000 | 1,000 | 100 | 116 | – | – |',
    );
    assert.equal(redis, '| /authorize, HS256 with jti, Redis | 10,000,000 | 1,150 | 1,000 | 100 | 115 | 20 | 21 |');
  });

  it('prints rates and requests per CPU-second of one worker and of two', () => {
    const table = toOtherTable(GROWTH_RUN);
    for (const row of [
      '| two workers, requests/s | 1,900 |',
      '| one worker, requests per CPU-second of the worker | 11,111 |',
      '| two workers, requests per CPU-second of both | 10,000 |',
    ])
      assert.ok(table.includes(row), table);
  });
});

describe('how far it grows', () => {
  const SIZES: readonly (readonly [most: number, sizes: number[]])[] = [
    [10_000_000, [10_000, 1_000_000, 10_000_000]],
    [1_000_000, [10_000, 1_000_000]],
    [100_000, [10_000, 100_000]],
    [2_000, [2_000]],
    [20_000_000, [10_000, 1_000_000, 10_000_000]],
  ];
  for (const [most, sizes] of SIZES) it(`goes up to ${most}`, () => assert.deepEqual(toSizes(most), sizes));

  const GIB = 2 ** 30;
  const BYTES = { jti: 100, session: 900 };

  it('takes what fits', () => assert.equal(describeShortage('redis', 1e6, BYTES, 1.3e9), undefined));

  it('says what is missing', () =>
    assert.equal(
      describeShortage('embedded', 10_000_000, BYTES, 2 * GIB),
      '10,000,000 live exchanges on embedded store are left out: they need 12.1 GiB of disk, and 2.0 GiB are free.',
    ));
});
