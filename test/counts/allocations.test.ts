import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { describeChild, startChild } from '../support/child.ts';

const SCRIPT = fileURLToPath(new URL('./allocations.js', import.meta.url));
/** Room for everything that is measured, in MiB, so that nothing is collected meanwhile. */
const YOUNG_HEAP = 256;
/** What a request may leave behind, in bytes: a tenth more than it does, the request in memory around it included. */
const MAX_BYTES = 65_000;

test('an exchange leaves no more on the heap than it did', async (t) => {
  const args = ['--expose-gc', `--max-semi-space-size=${YOUNG_HEAP}`, `--min-semi-space-size=${YOUNG_HEAP}`, SCRIPT];
  const child = await startChild({ command: process.execPath, args, cwd: process.cwd() });
  assert.equal((await child.exited).code, 0, describeChild(child));
  const { bytes, collections } = JSON.parse(child.stdout()) as { bytes: number; collections: number };
  t.diagnostic(`${bytes} bytes a request`);
  assert.equal(collections, 0, 'the heap was collected meanwhile: there is nothing to compare');
  assert.ok(bytes > MAX_BYTES / 4, `${bytes} bytes: this measured nothing`);
  assert.ok(bytes <= MAX_BYTES, `${bytes} bytes a request`);
});
