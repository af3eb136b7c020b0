import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { systemClock } from '../../src/core/clock.ts';
import { createStore } from '../../src/stores/create-store.ts';
import { startChild } from '../support/child.ts';
import { createTempFolder } from '../support/processes.ts';

const OPENER = fileURLToPath(new URL('./embedded-opener.js', import.meta.url));
const PROCESS_COUNT = 3;
const ROUND_COUNT = 40;
const EVERY_MS = 40;
/** Until all of them run. */
const LEAD_MS = 1_500;

test('several processes that make one file at the same moment all have it', async (t) => {
  const folder = await createTempFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  const args = [OPENER, folder, ...[Date.now() + LEAD_MS, EVERY_MS, ROUND_COUNT].map(String)];
  const openers = await Promise.all(
    Array.from({ length: PROCESS_COUNT }, () => startChild({ command: process.execPath, args, cwd: folder })),
  );
  for (const opener of openers) {
    const { code } = await opener.exited;
    assert.equal(code, 0, opener.stderr());
  }
  for (let round = 0; round < ROUND_COUNT; round++) {
    const dataDir = join(folder, String(round));
    const store = createStore({ kind: 'embedded', dataDir }, systemClock, () => undefined);
    assert.equal((await store.documents.list('apps')).length, PROCESS_COUNT);
    await store.close();
  }
});
