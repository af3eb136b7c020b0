import type { Group } from '../../../bench/contestant.ts';
import type { Measured } from '../../../bench/measured.ts';

/** A contestant whose rounds had these rates, and a processor that did nothing else. */
export function createMeasured(id: string, rates: readonly number[], group: Group = 'ours'): Measured {
  return { id, name: `the ${id}`, group, rounds: rates.map((rate) => ({ rate, cpuMicroseconds: 1e6 / rate })) };
}
