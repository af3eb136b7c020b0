import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { createPlatformKeys } from '../../../src/apps/platform-keys.ts';
import { createAppRegistry } from '../../../src/apps/registry.ts';
import { appRequest } from '../../../src/apps/schemas.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { AppError } from '../../../src/core/errors.ts';
import { createEmbeddedStore } from '../../../src/stores/embedded.ts';
import type { DocumentStore, Store } from '../../../src/stores/ports.ts';
import { createVault } from '../../../src/vault/vault.ts';
import { createTempFolder } from '../../support/processes.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const vault = createVault(Buffer.alloc(32, 1));

/** What loads the keys, in a process of its own as far as they are concerned. */
const load = (documents: DocumentStore, under = vault) =>
  createPlatformKeys({ documents, vault: under, clock: systemClock }).keyring;

async function openStore(t: TestContext): Promise<Store> {
  const folder = await createTempFolder();
  const store = createEmbeddedStore({ path: join(folder, 'keys.db'), clock: systemClock });
  t.after(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return store;
}

describe('the platform keys', () => {
  it('are made once by many that start together, and sealed', async (t) => {
    const { documents } = await openStore(t);
    const rings = await Promise.all(Array.from({ length: 4 }, () => load(documents)()));
    const [first] = rings;
    assert.ok(first);
    for (const ring of rings) assert.deepEqual(ring.jwks, first.jwks);
    const stored = await documents.list('platform-keys');
    assert.equal(stored.length, 1);
    assert.doesNotMatch(stored[0]?.body ?? '', /PRIVATE|MII/);
    assert.deepEqual(first.select({ kid: first.current.kid }), [first.current]);
    assert.deepEqual(first.select({ kid: 'another' }), []);
    assert.deepEqual(first.select({}), [first.current]);
  });

  it('are kept after the first use', async (t) => {
    const { documents } = await openStore(t);
    const get = load(documents);
    const [one, two] = [get(), get()];
    assert.equal(await one, await two);
    assert.equal(await get(), await get());
    assert.equal((await get()).current.kid, (await one).current.kid);
  });

  it('are not opened under another master key, and are again under theirs', async (t) => {
    const { documents } = await openStore(t);
    const { jwks } = await load(documents)();
    const other = load(documents, createVault(Buffer.alloc(32, 2)));
    for (let attempt = 0; attempt < 2; attempt++) {
      await assert.rejects(other(), { code: 'internal', detail: /filled under another master key/ });
    }
    assert.deepEqual((await load(documents)()).jwks, jwks);
  });

  it('are not made beside secrets that another master key sealed', async (t) => {
    const { documents, identities, sessions } = await openStore(t);
    const clock = createFakeClock(0);
    await createAppRegistry({ documents, identities, sessions, vault, clock }).create(
      appRequest.parse({ name: 'A', algorithm: 'HS256' }),
    );
    const other = load(documents, createVault(Buffer.alloc(32, 2)));
    await assert.rejects(other(), { code: 'internal', detail: /filled under another master key/ });
    assert.deepEqual(await documents.list('platform-keys'), []);
    assert.equal((await load(documents)()).all.length, 1);
  });

  it('are asked for again after a failure', async (t) => {
    const { documents } = await openStore(t);
    let isDown = true;
    const flaky: DocumentStore = {
      ...documents,
      list: async (collection) => {
        if (isDown) throw new AppError('store_unavailable');
        return documents.list(collection);
      },
    };
    const get = load(flaky);
    await assert.rejects(get(), { code: 'store_unavailable' });
    isDown = false;
    assert.equal((await get()).jwks.keys.length, 1);
  });

  for (const body of ['{}', '{"kid":"a","sealedKey":"v1.x"}', '[]']) {
    it(`are refused where the store holds something else: ${body}`, async (t) => {
      const { documents } = await openStore(t);
      await documents.insert('platform-keys', 'jwe-1', body);
      await assert.rejects(load(documents)());
      assert.equal((await documents.list('platform-keys')).length, 1);
    });
  }
});
