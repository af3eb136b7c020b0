import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { createAppRegistry } from '../../../src/apps/registry.ts';
import { AppError } from '../../../src/core/errors.ts';
import { createIdentityRegistry, type IdentityRegistryDeps } from '../../../src/sessions/identity-registry.ts';
import { toUserId } from '../../../src/core/ids.ts';
import { parseUserId } from '../../../src/sessions/identity-schemas.ts';
import { createIdentities } from '../../../src/sessions/identity.ts';
import { createEmbeddedStore } from '../../../src/stores/embedded.ts';
import type { Store } from '../../../src/stores/ports.ts';
import { createVault } from '../../../src/vault/vault.ts';
import { createAttempt } from '../../contract/attempts.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createTempFolder } from '../../support/processes.ts';

const isCode = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

/** A registry on an embedded store with one app, `cs-1`. */
async function startRegistry(t: TestContext, toDeps: (store: Store) => Partial<IdentityRegistryDeps> = () => ({})) {
  const folder = await createTempFolder();
  const clock = createFakeClock(1_000);
  const store = createEmbeddedStore({ path: join(folder, 'test.db'), clock });
  t.after(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  await store.documents.insert('apps', 'cs-1', '{}');
  const deps: IdentityRegistryDeps = {
    documents: store.documents,
    store: store.identities,
    sessions: store.sessions,
    identities: createIdentities(Buffer.alloc(32, 1)),
    readMessages: () => Promise.resolve([]),
    clock,
  };
  return { registry: createIdentityRegistry({ ...deps, ...toDeps(store) }), store };
}

describe('registration of a user', () => {
  it('leaves nobody behind when the app is deleted meanwhile', async (t) => {
    const { registry, store } = await startRegistry(t, ({ identities, documents }) => ({
      store: {
        ...identities,
        create: async (identity) => {
          // The deletion and its erasure come between the first look at the app and the write.
          await documents.remove('apps', 'cs-1');
          return identities.create(identity);
        },
      },
    }));
    await assert.rejects(registry.register('cs-1', 'alice'), isCode('app_not_found'));
    assert.deepEqual(await store.identities.list('cs-1', '', 10), []);
  });

  it('of the same user many times at once: one is the first', async (t) => {
    const { registry, store } = await startRegistry(t);
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => registry.register('cs-1', 'alice')));
    assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const one of tries) if (one.status === 'rejected') assert.ok(isCode('identity_exists')(one.reason));
    assert.equal((await store.identities.list('cs-1', '', 10)).length, 1);
  });
});

describe('a listing', () => {
  it('of what an interrupted deletion left is possible, and so is its erasure', async (t) => {
    const { registry, store } = await startRegistry(t);
    const { userId } = await registry.register('cs-1', 'alice');
    await store.documents.remove('apps', 'cs-1');
    const { identities } = await registry.list('cs-1', 10);
    assert.deepEqual(
      identities.map((one) => one.userId),
      [userId],
    );
    await registry.erase(userId);
    assert.deepEqual(await registry.list('cs-1', 10), { identities: [] });
    await assert.rejects(registry.erase(userId), isCode('identity_not_found'));
  });
});

describe('a user id', () => {
  const ID = '0b63a6f0-3d3c-8f0e-9d51-7f6d2a9e4c11';

  it('names a stored identity', () => {
    assert.equal(parseUserId(toUserId(ID)), ID);
  });

  for (const text of ['', 'u-', ID, `u-${ID.toUpperCase()}`, `u-${ID} `, `u-${ID}\n`, `xu-${ID}`, `u-${ID.slice(1)}`]) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.equal(parseUserId(text), undefined);
    });
  }
});

describe('an erasure', () => {
  /** A user who is signed in; whether anything of their session is at rest. */
  const signIn = async (store: Store) => {
    const attempt = createAttempt({ identity: { owner: 'cs-1' } });
    assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
    const isAtRest = (): Promise<boolean> => store.sessions.revoke(attempt.tag, attempt.session.key);
    return { userId: toUserId(attempt.identity.id), isAtRest };
  };

  it('deletes what sessions left at rest', async (t) => {
    const { registry, store } = await startRegistry(t);
    const { userId, isAtRest } = await signIn(store);
    const told: string[] = [];
    await registry.erase(userId, (erased) => told.push(`${erased.userId} ${erased.clientId}`));
    assert.deepEqual(told, [`${userId} cs-1`]);
    assert.equal(await isAtRest(), false);
  });

  it('that is cut off is told, and can be asked for again', async (t) => {
    let failures = 1;
    const { registry, store } = await startRegistry(t, ({ sessions }) => ({
      sessions: {
        purge: () => (failures-- > 0 ? Promise.reject(new AppError('store_unavailable')) : sessions.purge()),
      },
    }));
    const { userId, isAtRest } = await signIn(store);
    const told: string[] = [];
    const onErased = (erased: { userId: string }): void => void told.push(erased.userId);
    await assert.rejects(registry.erase(userId, onErased), isCode('store_unavailable'));
    assert.deepEqual(told, [userId]);
    await assert.rejects(registry.erase(userId, onErased), isCode('identity_not_found'));
    assert.deepEqual(told, [userId]);
    assert.equal(await isAtRest(), false);
  });

  it('of all users of an app comes with its deletion, also of one that was cut off', async (t) => {
    const { store } = await startRegistry(t);
    const { isAtRest } = await signIn(store);
    const vault = createVault(Buffer.alloc(32, 1));
    const apps = createAppRegistry({ ...store, vault, clock: createFakeClock(1_000) });
    await store.documents.remove('apps', 'cs-1');
    await assert.rejects(apps.remove('cs-1'), isCode('app_not_found'));
    assert.deepEqual(await store.identities.list('cs-1', '', 10), []);
    assert.equal(await isAtRest(), false);
  });
});
