import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { toDuration, toShownDate, toTimeHint, toUnitHint } from '../../../src/jose/claim-times.ts';

const NOW = 1_767_225_600;
const HOUR = 3_600;
const DAY = 86_400;

describe('a duration for people', () => {
  const DURATIONS: readonly (readonly [number, string])[] = [
    [0, '0 s'],
    [0.01, '0.1 s'],
    [15, '15 s'],
    [15.000_000_1, '15 s'],
    [15.01, '15.1 s'],
    [119.9, '119.9 s'],
    [119.99, '2 min'],
    [120, '2 min'],
    [312, '5 min 12 s'],
    [HOUR, '60 min'],
    [2 * HOUR, '2 h'],
    [3 * HOUR + 119, '3 h 1 min'],
    [2 * DAY, '2 days'],
    [90 * DAY, '90 days'],
    [1_000 * DAY, '2 years'],
    [1e300, 'more than 1000 years'],
    [Infinity, 'more than 1000 years'],
  ];
  for (const [seconds, text] of DURATIONS) test(`${seconds}`, () => assert.equal(toDuration(seconds), text));
});

describe('what a wrong time looks like', () => {
  const ZONE = 'is it local time in place of UTC?';
  const HINTS: Readonly<Record<string, readonly [number, string]>> = {
    'a token that is stale': [NOW - 312, ''],
    'a clock that is ahead': [NOW + 312, "is the issuer's clock 5 min 12 s ahead?"],
    'an hour ahead': [NOW + HOUR + 3, ZONE],
    'five hours and a half ago': [NOW - 5.5 * HOUR + 30, ZONE],
    'a quarter of an hour ago': [NOW - HOUR / 4, ''],
    'a day ago': [NOW - DAY, ''],
    'an hour and a quarter ahead': [NOW + 1.25 * HOUR, "is the issuer's clock 75 min ahead?"],
    'a duration': [300, 'is it a duration? It must be a time since 1970'],
  };
  for (const [what, [at, hint]] of Object.entries(HINTS)) test(what, () => assert.equal(toTimeHint(at, at, NOW), hint));

  test('a finer unit than milliseconds', () => {
    assert.deepEqual([NOW, NOW * 1e3, NOW * 1e6].map(toUnitHint), ['', '', 'is it in microseconds?']);
  });
});

test('a number that is no date is shown all the same', () => {
  assert.deepEqual([0, NOW, 8.64e12, 8.65e12, 1e300].map(toShownDate), [
    '1970-01-01T00:00:00.000Z',
    '2026-01-01T00:00:00.000Z',
    '+275760-09-13T00:00:00.000Z',
    'beyond every calendar',
    'beyond every calendar',
  ]);
});
