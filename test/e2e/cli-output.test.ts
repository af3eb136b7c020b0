import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';

import { createAppRegistry } from '../../src/apps/registry.ts';
import { appRequest } from '../../src/apps/schemas.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { loadVault } from '../../src/vault/master-key.ts';
import { makeFolder } from './cli-processes.ts';

const MAIN = resolve('dist', 'main.js');
/** More than a pipe holds. */
const APP_COUNT = 150;

/** What a shell makes of `countersign apps list`, on a store with many apps. */
async function startShell(t: TestContext) {
  const folder = await makeFolder(t);
  const [dataDir, keysDir] = [join(folder, 'data'), join(folder, 'keys')];
  const store = createEmbeddedStore({ path: join(dataDir, 'countersign.db'), clock: systemClock });
  const { vault } = await loadVault(keysDir);
  const registry = createAppRegistry({ ...store, vault, clock: systemClock });
  const request = appRequest.parse({ name: 'x'.repeat(100), algorithm: 'HS256' });
  await Promise.all(Array.from({ length: APP_COUNT }, () => registry.create(request)));
  await store.close();
  const env = { PATH: process.env['PATH'], COUNTERSIGN_DATA_DIR: dataDir, COUNTERSIGN_KEYS_DIR: keysDir };
  return async (behind: string): Promise<{ code: number; stdout: string }> => {
    const script = `set -o pipefail; "${process.execPath}" "${MAIN}" apps list ${behind}`;
    try {
      const { stdout } = await promisify(execFile)('bash', ['-c', script], { cwd: folder, env });
      return { code: 0, stdout };
    } catch (error) {
      return error as { code: number; stdout: string };
    }
  };
}

describe('what a command prints', () => {
  it('arrives whole through a pipe whose reader is slow; a lost result is a failure; a reader that leaves is none', async (t) => {
    const shell = await startShell(t);
    const whole = await shell('> all.json; wc -c < all.json');
    assert.ok(Number(whole.stdout) > 100_000, whole.stdout);
    assert.deepEqual(await shell('| (sleep 0.5; wc -c)'), whole);
    assert.equal((await shell('> /dev/full')).code, 1);
    assert.equal((await shell('| true')).code, 0);
  });
});
