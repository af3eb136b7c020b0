import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startChild } from '../support/child.ts';
import { createTempFolder } from '../support/processes.ts';

const RUNNER = fileURLToPath(new URL('../../scripts/run-tests.js', import.meta.url));
const TWO_TESTS = "const { test } = require('node:test'); test('a', () => {}); test('b', () => {});";

interface Case {
  /** Compiled tests, by their names below `build/test`. */
  readonly files: Readonly<Record<string, string>>;
  readonly leastCount: string;
  readonly filters?: readonly string[];
  /** Printed before the totals. */
  readonly says?: RegExp;
  readonly totals: string;
  readonly code: 0 | 1;
}

function withTests(body: string): Readonly<Record<string, string>> {
  return { 'a.test.js': `${TWO_TESTS} const { describe } = require('node:test'); ${body}` };
}

const CASES: Readonly<Record<string, Case>> = {
  'as many as committed': { files: withTests(''), leastCount: '2\n', totals: '2 passed, 0 failed', code: 0 },
  'more than committed': {
    files: withTests(''),
    leastCount: '1',
    says: /2 tests passed, test\/least-count\.txt asks for 1: write 2 there/,
    totals: '2 passed, 0 failed',
    code: 0,
  },
  'fewer than committed': {
    files: withTests(''),
    leastCount: '3',
    says: /only 2 tests passed, test\/least-count\.txt asks for 3/,
    totals: '2 passed, 1 failed',
    code: 1,
  },
  'a count of nothing': {
    files: withTests(''),
    leastCount: '0',
    says: /must hold one whole number/,
    totals: '2 passed, 1 failed',
    code: 1,
  },
  'one that fails': {
    files: withTests("test('c', () => { throw new Error('no'); });"),
    leastCount: '2',
    totals: '2 passed, 1 failed',
    code: 1,
  },
  'one skipped': {
    files: withTests("test.skip('c', () => {});"),
    leastCount: '2',
    says: /skipped: c/,
    totals: '2 passed, 1 failed',
    code: 1,
  },
  'one to do': {
    files: withTests("test.todo('c', () => { throw new Error('later'); });"),
    leastCount: '2',
    says: /todo: c/,
    totals: '2 passed, 1 failed',
    code: 1,
  },
  'a suite skipped': {
    files: withTests("describe.skip('c', () => { test('d', () => {}); });"),
    leastCount: '2',
    says: /skipped: c/,
    totals: '2 passed, 1 failed',
    code: 1,
  },
  'a failure inside of a suite, counted once': {
    files: withTests("describe('c', () => { test('d', () => { throw new Error('no'); }); });"),
    leastCount: '2',
    totals: '2 passed, 1 failed',
    code: 1,
  },
  'a file without a test': {
    files: { ...withTests(''), 'deep/empty.test.js': '' },
    leastCount: '2',
    says: /no test ran in build\/test\/deep\/empty\.test\.js/,
    totals: '2 passed, 1 failed',
    code: 1,
  },
  'tests that stand in a file beside it': {
    files: { 'shared.js': TWO_TESTS, 'a.test.js': "require('./shared.js');" },
    leastCount: '2',
    totals: '2 passed, 0 failed',
    code: 0,
  },
  'a file that crashes when its tests are over': {
    files: withTests("process.on('exit', () => { process.exitCode = 7; });"),
    leastCount: '2',
    totals: '2 passed, 1 failed',
    code: 1,
  },
  'no file at all': { files: {}, leastCount: '1', says: /no test file/, totals: '0 passed, 1 failed', code: 1 },
  'a filter, which lifts the count': {
    files: { ...withTests(''), 'other.test.js': "throw new Error('not asked for')" },
    leastCount: '90',
    filters: ['a.test'],
    totals: '2 passed, 0 failed',
    code: 0,
  },
  'a filter that meets nothing': {
    files: withTests(''),
    leastCount: '2',
    filters: ['zebra'],
    says: /no test file/,
    totals: '0 passed, 1 failed',
    code: 1,
  },
};

async function runIn(
  folder: string,
  { files, leastCount, filters = [] }: Case,
): Promise<{ code: number | null; output: string }> {
  const all = { 'test/least-count.txt': leastCount, 'build/test/package.json': '{"type":"commonjs"}' };
  const tests = Object.entries(files).map(([name, text]) => [join('build', 'test', name), text] as const);
  for (const [name, text] of [...Object.entries(all), ...tests]) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  const child = await startChild({ command: process.execPath, args: [RUNNER, ...filters], cwd: folder });
  const { code } = await child.exited;
  return { code, output: child.stdout() + child.stderr() };
}

describe('the test runner', { concurrency: 2 }, () => {
  for (const [name, one] of Object.entries(CASES)) {
    it(`judges ${name}`, async () => {
      const folder = await createTempFolder();
      try {
        const { code, output } = await runIn(folder, one);
        assert.equal(code, one.code, output);
        if (one.says !== undefined) assert.match(output, one.says);
        assert.equal(output.trimEnd().split('\n').at(-1), one.totals);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  }
});
