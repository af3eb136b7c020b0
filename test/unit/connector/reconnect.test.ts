import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { describe, it } from 'node:test';

import {
  HEALTHY_AFTER_MS,
  MAX_HONOURED_RETRY_AFTER_MS,
  RECONNECT_BASE_MS,
  RECONNECT_CAP_MS,
  SPARE_RETRY_MS,
  SPARE_TRIES,
  toFailures,
  toReconnectDelayMs,
  toSpareDelayMs,
} from '../../../src/connector/reconnect.ts';

const highest = (below: number): number => below - 1;
const lowest = (): number => 0;

describe('the wait before a dial', () => {
  const CEILINGS: Record<string, readonly [failures: number, retryAfterMs: number | undefined, least: number, most: number]> = {
    'after the first failure': [0, undefined, 0, RECONNECT_BASE_MS],
    'doubles': [1, undefined, 0, 2 * RECONNECT_BASE_MS],
    'doubles again': [2, undefined, 0, 4 * RECONNECT_BASE_MS],
    'has a cap': [5, undefined, 0, RECONNECT_CAP_MS],
    'keeps the cap for ever': [1_000_000, undefined, 0, RECONNECT_CAP_MS],
    'honours the gateway, and spreads': [0, 7_000, 7_000, 8_000],
    'honours no gateway without bounds': [0, 86_400_000, MAX_HONOURED_RETRY_AFTER_MS, MAX_HONOURED_RETRY_AFTER_MS + 1_000],
    'is never negative': [0, -5, 0, RECONNECT_BASE_MS],
    'takes no failures below none': [-1, undefined, 0, RECONNECT_BASE_MS],
  }; // prettier-ignore
  for (const [name, [failures, retryAfterMs, least, most]] of Object.entries(CEILINGS)) {
    it(name, () => {
      assert.equal(toReconnectDelayMs(failures, lowest, retryAfterMs), least);
      assert.equal(toReconnectDelayMs(failures, highest, retryAfterMs), most);
    });
  }

  it('is spread over its whole range', () => {
    const quarters = [0, 0, 0, 0];
    for (let at = 0; at < 4_000; at++) {
      const quarter = Math.floor((4 * toReconnectDelayMs(0, (below) => randomInt(below))) / (RECONNECT_BASE_MS + 1));
      quarters[quarter] = (quarters[quarter] ?? 0) + 1;
    }
    for (const count of quarters) assert.ok(count > 800 && count < 1_200, quarters.join(' '));
  });

  it('counts anew after a connection that held', () => {
    assert.equal(toFailures(7, HEALTHY_AFTER_MS), 0);
    assert.equal(toFailures(7, HEALTHY_AFTER_MS - 1), 8);
  });

  it('is long where another node was looked for in vain', () => {
    assert.ok(toSpareDelayMs(SPARE_TRIES - 1, highest) <= RECONNECT_BASE_MS);
    assert.equal(toSpareDelayMs(SPARE_TRIES, lowest), SPARE_RETRY_MS / 2);
    assert.equal(toSpareDelayMs(SPARE_TRIES, highest), SPARE_RETRY_MS * 1.5);
  });
});
