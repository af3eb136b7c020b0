/**
 * `npm run fuzz -- [--cases n] [--seed n]`: every property on a million cases, under a fresh seed that is printed. The same
 * seed and number of cases give the same run.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

import { createFuzzSubject } from '../test/fuzz/fuzz-subject.ts';
import { runProperties } from '../test/fuzz/properties.ts';

const DEFAULT_CASES = 1_000_000;
const MAX_SEED = 2 ** 31;

function readNumber(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^\d{1,10}$/.test(text) || Number(text) === 0) throw new TypeError(`--${name} must be a whole number above 0`);
  return Number(text);
}

const { values } = parseArgs({ options: { cases: { type: 'string' }, seed: { type: 'string' } } });
const cases = readNumber('cases', values.cases, DEFAULT_CASES);
const seed = readNumber('seed', values.seed, randomInt(1, MAX_SEED));
console.log(`${cases} cases; to repeat this run: npm run fuzz -- --cases ${cases} --seed ${seed}`);
const subject = await createFuzzSubject();
try {
  const total = await runProperties(subject, { cases, seed }, (name, count, tookMs) =>
    console.log(`${count} in ${(tookMs / 1_000).toFixed(1)} s: ${name}`),
  );
  console.log(`${total} cases, none failed`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await subject.close();
}
