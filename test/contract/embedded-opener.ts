import { join } from 'node:path';

import { systemClock } from '../../src/core/clock.ts';
import { createStore } from '../../src/stores/create-store.ts';

/** Opens one new store after the other, each at its time; for several processes that do the same. */
const [folder = '', startAtMs = '', everyMs = '', count = ''] = process.argv.slice(2);
for (let round = 0; round < Number(count); round++) {
  const atMs = Number(startAtMs) + round * Number(everyMs);
  while (Date.now() < atMs);
  const dataDir = join(folder, String(round));
  const store = createStore({ kind: 'embedded', dataDir }, systemClock, () => undefined);
  await store.documents.insert('apps', `process-${process.pid}`, '{}');
  await store.close();
}
