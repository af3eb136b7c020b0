import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { test } from 'node:test';

import { systemClock } from '../../../src/core/clock.ts';
import { Secret } from '../../../src/core/secret.ts';
import { createStore, DATABASE_FILE } from '../../../src/stores/create-store.ts';
import { createTempFolder, getFreePort } from '../../support/processes.ts';

test('embedded: a file in the data folder', async () => {
  const dataDir = await createTempFolder();
  const store = createStore({ kind: 'embedded', dataDir }, systemClock, assert.fail);
  try {
    assert.match(store.description, /^embedded/);
    assert.ok(existsSync(join(dataDir, DATABASE_FILE)));
    assert.deepEqual(await store.health(), { isReady: true });
  } finally {
    await store.close();
    await rm(dataDir, { recursive: true });
  }
});

test('redis: says what it waits for, and shows no credential in anything that it tells', async () => {
  const url = new Secret(`redis://someone:pass-word@127.0.0.1:${await getFreePort()}`);
  let tell: (problem: string) => void = () => undefined;
  const told = new Promise<string>((done) => (tell = done));
  const store = createStore({ kind: 'redis', url, waitReplicas: 2 }, systemClock, (problem) => tell(problem));
  try {
    assert.match(store.description, /^redis .* on 2 replicas before a grant\)$/);
    const problem = await told;
    assert.match(problem, /ECONNREFUSED/);
    const health = await store.health();
    assert.deepEqual(health, { isReady: false, problem: 'redis is not connected' });
    assert.doesNotMatch(inspect([problem, health, store.description]), /pass-word|someone/);
  } finally {
    await store.close();
  }
});
