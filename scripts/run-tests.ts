import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestOutcome } from './report-outcomes.ts';

/** Longer than the slowest file needs; a file that is still open then has leaked something and fails. */
const FILE_TIMEOUT_MS = 300_000;
const REPORTER = fileURLToPath(new URL('./report-outcomes.js', import.meta.url));

/** What was asked for and where to find it. */
export interface TestRun {
  /** The folder with the compiled tests. */
  readonly folder: string;
  /** Parts of paths; a file runs when it holds one of them. None: every file, and the count is held. */
  readonly filters: readonly string[];
  /** The file with the least number of tests that have to pass. */
  readonly leastCountFile: string;
}

/** The counts of a run and every reason why it is not good, one sentence each. */
export interface TestTotals {
  readonly passed: number;
  readonly failed: number;
  readonly complaints: readonly string[];
}

async function findTestFiles({ folder, filters }: TestRun): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  const files = names.filter((name) => name.endsWith('.test.js')).sort();
  return files
    .filter((name) => filters.length === 0 || filters.some((part) => name.includes(part)))
    .map((name) => join(folder, name));
}

/** Runs the files; resolves with the runner's exit code, 1 when a signal ended it. */
function runFiles(files: readonly string[], reportFile: string): Promise<number> {
  const args = ['--enable-source-maps', '--test', '--test-concurrency=2', `--test-timeout=${FILE_TIMEOUT_MS}`];
  args.push('--test-reporter=spec', '--test-reporter-destination=stdout');
  args.push(`--test-reporter=${REPORTER}`, `--test-reporter-destination=${reportFile}`);
  const { NODE_TEST_CONTEXT: _outer, ...env } = process.env;
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [...args, ...files], { env, stdio: ['ignore', 'inherit', 'inherit'] });
    // Whoever ends this run ends the tests with it.
    process.once('SIGTERM', () => void child.kill('SIGTERM'));
    child.once('error', fail);
    child.once('exit', (code) => done(code ?? 1));
  });
}

function findComplaints(outcomes: readonly TestOutcome[], exitCode: number): string[] {
  const complaints: string[] = [];
  for (const { name, file, outcome, isWholeFile } of outcomes) {
    if (outcome === 'skipped' || outcome === 'todo') complaints.push(`${outcome}: ${name} (${relative('', file)})`);
    // A file in which nothing ran is reported as one test that passed.
    if (isWholeFile && outcome === 'passed') complaints.push(`no test ran in ${relative('', name)}`);
  }
  const hasFailure = outcomes.some(({ outcome }) => outcome === 'failed');
  if (exitCode !== 0 && !hasFailure && complaints.length === 0) complaints.push(`node --test ended with ${exitCode}`);
  return complaints;
}

async function checkCount(passed: number, leastCountFile: string): Promise<string[]> {
  const name = relative('', leastCountFile);
  const text = (await readFile(leastCountFile, 'utf8')).trim();
  if (!/^[1-9]\d*$/.test(text)) return [`${name} must hold one whole number, at least 1`];
  const leastCount = Number(text);
  if (passed > leastCount)
    console.log(`${passed} tests passed, ${name} asks for ${leastCount}: write ${passed} there.`);
  return passed < leastCount ? [`only ${passed} tests passed, ${name} asks for ${leastCount}`] : [];
}

/** Runs the compiled tests and says what became of them. */
export async function runTests(run: TestRun): Promise<TestTotals> {
  const files = await findTestFiles(run);
  if (files.length === 0) return { passed: 0, failed: 0, complaints: [`no test file in ${run.folder} was asked for`] };

  const reportFolder = await mkdtemp(join(tmpdir(), 'countersign-tests-'));
  try {
    const reportFile = join(reportFolder, 'outcomes.jsonl');
    const exitCode = await runFiles(files, reportFile);
    const lines = (await readFile(reportFile, 'utf8')).split('\n').filter((line) => line !== '');
    const outcomes = lines.map((line) => JSON.parse(line) as TestOutcome);
    const passed = outcomes.filter(({ outcome, isWholeFile }) => outcome === 'passed' && !isWholeFile).length;
    const failed = outcomes.filter(({ outcome }) => outcome === 'failed').length;
    const complaints = findComplaints(outcomes, exitCode);
    if (passed === 0) complaints.push('no test passed');
    if (run.filters.length === 0) complaints.push(...(await checkCount(passed, run.leastCountFile)));
    return { passed, failed, complaints };
  } finally {
    await rm(reportFolder, { recursive: true, force: true });
  }
}

/** Prints the complaints, then the totals; every complaint counts as a failure. */
export function reportTotals({ passed, failed, complaints }: TestTotals): boolean {
  for (const complaint of complaints) console.log(`not good: ${complaint}`);
  console.log(`${passed} passed, ${failed + complaints.length} failed`);
  return failed + complaints.length === 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const run = {
    folder: resolve('build/test'),
    filters: process.argv.slice(2),
    leastCountFile: resolve('test/least-count.txt'),
  };
  if (!reportTotals(await runTests(run))) process.exitCode = 1;
}
