import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Run } from '../../../bench/measured.ts';
import { judge, toTargetTable } from '../../../bench/targets.ts';
import { createMeasured } from './measured-run.ts';

const RATES: Readonly<Record<string, readonly number[]>> = {
  'node-http': [10_000, 20_000, 10_000],
  express: [2_000, 2_000, 2_000],
  'day-all': [500, 500, 500],
  'day-fast-jwt': [1_000, 1_000, 1_000],
  'oidc-provider': [800, 800, 800],
  sample: [1_000, 1_000, 1_000],
  'issuer-hs256': [6_000, 6_000, 6_000],
  'issuer-rs256': [1_799, 1_799, 1_799],
  'authorize-embedded': [5_000, 5_000, 5_001],
  'authorize-redis': [3_999, 9_000, 3_999],
  'jwtgrant-nested-embedded': [1_600, 1_600, 1_600],
  'jwtgrant-nested-redis': [1_000, 1_000, 1_000],
  'introspect-embedded': [6_000, 12_000, 6_000],
  'introspect-redis': [6_000, 11_999, 5_999],
};
const RUN: Run = {
  contestants: Object.entries(RATES).map(([id, rates]) => createMeasured(id, rates)),
  ceilings: [{ id: 'sign', name: 'signatures', rates: [2_000, 2_000, 2_000] }],
  latencies: [
    { id: 'a', name: 'the a', rate: 100, rounds: [{ p50Ms: 1, p99Ms: 4, maxMs: 50 }] },
    { id: 'b', name: 'the b', rate: 100, rounds: [{ p50Ms: 1, p99Ms: 4.1, maxMs: 50.1 }] },
  ],
};

const find = (what: string, asked: string) => {
  const found = judge(RUN).find((one) => one.what === what && one.asked === asked);
  assert.ok(found, `${what}: ${asked}`);
  return found;
};

describe('the targets', () => {
  const CASES: Readonly<Record<string, readonly [what: string, asked: string, measured: string, isMet: boolean]>> = {
    'meets one by a hair': ['the authorize-embedded', '≥ 0.50 × the node-http', '0.50 × (0.25 – 0.50)', true],
    'misses one by a hair': ['the authorize-redis', '≥ 0.40 × the node-http', '0.40 × (0.40 – 0.45)', false],
    'compares with others than the floor': [
      'the authorize-embedded',
      '≥ 5.00 × the oidc-provider',
      '6.25 × (6.25 – 6.25)',
      true,
    ],
    'compares with a primitive': ['the issuer-rs256', '≥ 0.90 × signatures', '0.90 × (0.90 – 0.90)', false],
    'takes the ratio of each round': [
      'the introspect-embedded',
      '≥ 0.60 × the node-http',
      '0.60 × (0.60 – 0.60)',
      true,
    ],
    'allows a p99 of four times the median': ['the a, at half of its rate', 'p99 ≤ 4 × p50', '4.00 ×', true],
    'allows no more': ['the b, at half of its rate', 'p99 ≤ 4 × p50', '4.10 ×', false],
    'allows 50 ms': ['the a, at half of its rate', 'none above 50 ms', '50.0 ms', true],
    'allows no request more': ['the b, at half of its rate', 'none above 50 ms', '50.1 ms', false],
  };
  for (const [name, [what, asked, measured, isMet]] of Object.entries(CASES)) {
    it(name, () => assert.deepEqual(find(what, asked), { what, asked, measured, isMet }));
  }

  it('are counted, and each has a line', () => {
    const verdicts = judge(RUN);
    const lines = toTargetTable(verdicts).split('\n');
    const metCount = verdicts.filter(({ isMet }) => isMet).length;
    assert.match(lines[0] ?? '', new RegExp(`^\\| ${metCount} of ${verdicts.length} targets are met \\|`));
    assert.equal(lines.length, verdicts.length + 2);
    assert.equal(lines.filter((line) => line.endsWith('| **missed** |')).length, verdicts.length - metCount);
  });

  it('are not judged without a contestant', () => {
    const contestants = RUN.contestants.filter(({ id }) => id !== 'oidc-provider');
    assert.throws(() => judge({ ...RUN, contestants }), /oidc-provider/);
  });
});
