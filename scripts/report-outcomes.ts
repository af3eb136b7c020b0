import { isAbsolute } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

/** What became of one test. */
export type Outcome = 'passed' | 'failed' | 'skipped' | 'todo';

/** One line of the machine-readable report. */
export interface TestOutcome {
  readonly name: string;
  /** Where the test is written: its source, or a file that several test files share. */
  readonly file: string;
  readonly outcome: Outcome;
  /** Whether the line is about a whole test file, named by its path: it crashed, hung, or holds no test. */
  readonly isWholeFile: boolean;
}

function toOutcome({ type, data }: Extract<TestEvent, { type: 'test:pass' | 'test:fail' }>): Outcome {
  if (data.skip !== undefined && data.skip !== false) return 'skipped';
  if (data.todo !== undefined && data.todo !== false) return 'todo';
  return type === 'test:pass' ? 'passed' : 'failed';
}

function isFailureOfSubtests(details: object): boolean {
  const { error } = details as { readonly error?: { readonly failureType?: unknown } };
  return error?.failureType === 'subtestsFailed';
}

/**
 * A reporter of `node --test`: one line of JSON per finished test. A suite is a line only when it was skipped or
 * failed by itself, in a hook say; otherwise its tests speak for it. The default export is what `--test-reporter` takes.
 */
export default async function* reportOutcomes(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const { name, file = '', details } = event.data;
    const outcome = toOutcome(event);
    if (details.type === 'suite' && (outcome === 'passed' || isFailureOfSubtests(details))) continue;
    const line: TestOutcome = { name, file, outcome, isWholeFile: isAbsolute(name) && name.endsWith('.test.js') };
    yield `${JSON.stringify(line)}\n`;
  }
}
