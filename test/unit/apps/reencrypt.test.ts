import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { createAppKeys } from '../../../src/apps/keys/app-keys.ts';
import { openSecret } from '../../../src/apps/keys/key-material.ts';
import { parseApp } from '../../../src/apps/app-document.ts';
import { createPlatformKeys } from '../../../src/apps/platform-keys.ts';
import { countSealedDocuments, reencryptDocuments, SEALED_HERE } from '../../../src/apps/reencrypt.ts';
import { createAppRegistry } from '../../../src/apps/registry.ts';
import { appRequest } from '../../../src/apps/schemas.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { createEmbeddedStore } from '../../../src/stores/embedded.ts';
import type { Collection, DocumentStore } from '../../../src/stores/ports.ts';
import { changeMasterKeys, loadVault } from '../../../src/vault/master-key.ts';
import { activateNextKey, addNextKey } from '../../../src/vault/master-key-set.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { createRsaPair } from '../../support/assertions.ts';
import { createTempFolder } from '../../support/processes.ts';

const COLLECTIONS = Object.keys(SEALED_HERE) as Collection[];

/** A store that was filled under a master key which is not the active one any more. */
async function open(t: TestContext, appCount: number) {
  const folder = await createTempFolder();
  const store = createEmbeddedStore({ path: join(folder, 'data.db'), clock: systemClock });
  t.after(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  const keysDir = join(folder, 'keys');
  const { documents } = store;
  const { vault: old } = await loadVault(keysDir);
  const registry = createAppRegistry({ ...store, vault: old, clock: systemClock });
  const request = appRequest.parse({ name: 'A', algorithm: 'HS256' });
  const created = await Promise.all(Array.from({ length: appCount }, () => registry.create(request)));
  const { publicKey } = createRsaPair();
  await registry.create(appRequest.parse({ name: 'B', algorithm: 'RS256', publicKey }));
  await createPlatformKeys({ documents, vault: old, clock: systemClock }).keyring();
  const formerId = old.keyId;
  await changeMasterKeys(keysDir, (set) => activateNextKey(addNextKey(set, 1), 2));
  const { vault } = await loadVault(keysDir);
  const run = (on: DocumentStore = documents) =>
    reencryptDocuments({ documents: on, vault, collections: SEALED_HERE, onProgress: () => undefined });
  const secrets = async (under: Vault = vault): Promise<(string | undefined)[]> =>
    Promise.all(
      created.map(async ({ app: { clientId } }) => {
        const document = await documents.get('apps', clientId);
        assert.ok(document);
        return parseApp(document).keys.map((key) => openSecret(under, clientId, key))[0];
      }),
    );
  const count = () => countSealedDocuments(documents, COLLECTIONS, formerId);
  return { store, documents, registry, old, vault, run, secrets, count, created };
}

describe('re-encryption at rest', () => {
  it('seals everything anew, keeps what it says, and finds nothing to do afterwards', async (t) => {
    const { documents, run, secrets, count, created, vault } = await open(t, 3);
    const before = await documents.list('apps');
    assert.deepEqual(await count(), { apps: 3, 'platform-keys': 1 });
    assert.deepEqual(
      (await run()).map(({ collection, of, changed }) => [collection, of, changed]),
      [
        ['apps', 4, 3],
        ['platform-keys', 1, 1],
      ],
    );
    assert.deepEqual(await count(), {});
    assert.deepEqual(
      await secrets(),
      created.map(({ clientSecret }) => clientSecret),
    );
    assert.equal((await createPlatformKeys({ documents, vault, clock: systemClock }).keyring()).all.length, 1);
    for (const { id, body } of await documents.list('apps')) {
      const was = JSON.parse(before.find((document) => document.id === id)?.body ?? '') as { updatedAt: number };
      assert.equal((JSON.parse(body) as { updatedAt: number }).updatedAt, was.updatedAt);
    }
    assert.ok((await run()).every(({ changed }) => changed === 0));
  });

  it('is taken up where it was cut off', async (t) => {
    const { documents, run, count } = await open(t, 5);
    let left = 2;
    const dying: DocumentStore = {
      ...documents,
      update: async (...args) => {
        if (left-- === 0) throw new Error('killed');
        return documents.update(...args);
      },
    };
    await assert.rejects(run(dying), /killed/);
    assert.deepEqual(await count(), { apps: 3, 'platform-keys': 1 });
    assert.deepEqual(
      (await run()).map(({ changed }) => changed),
      [3, 1],
    );
    assert.deepEqual(await count(), {});
  });

  it('overwrites no change that is made meanwhile, and brings nothing back that is deleted', async (t) => {
    const { store, documents, registry, old, run, count, created } = await open(t, 3);
    const [changed, deleted, rotated] = created.map(({ app }) => app.clientId);
    assert.ok(changed && deleted && rotated);
    const appKeys = createAppKeys({ ...store, vault: old, clock: systemClock });
    let isFirst = true;
    const busy: DocumentStore = {
      ...documents,
      update: async (...args) => {
        if (isFirst) {
          isFirst = false;
          await registry.update(changed, { name: 'changed' });
          await registry.remove(deleted);
          await appKeys.add(rotated, { activatesInSeconds: 0 });
        }
        return documents.update(...args);
      },
    };
    await run(busy);
    assert.equal((await registry.get(changed)).name, 'changed');
    await assert.rejects(registry.get(deleted), { code: 'app_not_found' });
    assert.equal((await registry.get(rotated)).keys.length, 2);
    assert.deepEqual(await count(), {});
  });

  it('gives up on a document that never stands still, and says which', async (t) => {
    const { documents, run } = await open(t, 1);
    await assert.rejects(run({ ...documents, update: async () => false }), {
      code: 'internal',
      detail: /is changed all the time; run it again/,
    });
  });
});
