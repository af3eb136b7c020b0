import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createArrivalSchedule } from '../../../bench/arrival-schedule.ts';
import { planBodyCount } from '../../../bench/body-plan.ts';
import { planLatencyRate } from '../../../bench/latency.ts';
import { checkResult, RanDryError } from '../../../bench/load.ts';

describe('the number of bodies', () => {
  const PLAN = { boundRate: 1_000, seconds: 2, connectionCount: 64 };
  const CASES: Readonly<Record<string, readonly [seenRates: number[], count: number]>> = {
    'goes by a faster contestant at first': [[], 3_064],
    'leaves most room after the warm-up': [[100], 564],
    'goes by the fastest round': [[100, 300, 200], 1_264],
  };
  for (const [name, [seenRates, count]] of Object.entries(CASES)) {
    it(name, () => assert.equal(planBodyCount({ ...PLAN, seenRates }), count));
  }
});

describe('what a generator says', () => {
  const RESULT = { requestCount: 3, refusedCount: 0, failedCount: 0, sentCount: 3 };
  const SHOTS = { url: 'http://127.0.0.1/', bodies: ['a', 'b'], isSingleUse: true };

  it('is nothing worth where a body was used twice', () =>
    assert.throws(() => checkResult({ ...RESULT, refusedCount: 1 }, SHOTS), RanDryError));

  it('holds where bodies may be used again', () => checkResult(RESULT, { ...SHOTS, isSingleUse: false }));
  it('holds where all were taken', () => checkResult({ ...RESULT, sentCount: 2 }, SHOTS));

  const FAILURES = { refused: { refusedCount: 1 }, missing: { failedCount: 1 }, none: { requestCount: 0 } };
  for (const [name, change] of Object.entries(FAILURES)) {
    it(`is a failure: ${name}`, () =>
      assert.throws(() => checkResult({ ...RESULT, sentCount: 2, ...change }, SHOTS), /not every answer/));
  }
});

describe('the schedule of the open loop', () => {
  const { count, countDue, toDueMs } = createArrivalSchedule(250, 2);

  it('has as many requests as the rate asks for', () => assert.equal(count, 500));

  const DUE: readonly [elapsedMs: number, due: number][] = [
    [0, 1],
    [3.9, 1],
    [4, 2],
    [1_000, 251],
    [60_000, 500],
  ];
  for (const [elapsedMs, due] of DUE) {
    it(`has ${due} due after ${elapsedMs} ms`, () => assert.equal(countDue(elapsedMs), due));
  }

  it('counts each as due from its own moment on', () => {
    for (const index of [0, 1, 77, 499]) assert.equal(countDue(toDueMs(index)), index + 1);
  });

  it('runs at half of the middle rate', () => assert.equal(planLatencyRate([100, 301, 500]), 150));
});
