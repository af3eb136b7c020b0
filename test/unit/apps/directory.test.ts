import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { createAppDirectory } from '../../../src/apps/directory.ts';
import { createAppRegistry } from '../../../src/apps/registry.ts';
import { appRequest } from '../../../src/apps/schemas.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { AppError } from '../../../src/core/errors.ts';
import { createEmbeddedStore } from '../../../src/stores/embedded.ts';
import type { DocumentStore } from '../../../src/stores/ports.ts';
import { createVault } from '../../../src/vault/vault.ts';
import { createTempFolder } from '../../support/processes.ts';

const vault = createVault(Buffer.alloc(32, 1));

/** A directory over a real store whose answers a test may hold back or refuse. */
async function startDirectory(t: TestContext) {
  const folder = await createTempFolder();
  const store = createEmbeddedStore({ path: join(folder, 'apps.db'), clock: systemClock });
  let lists = 0;
  let gate: Promise<void> | undefined;
  let isDown = false;
  const check = (): void => {
    if (isDown) throw new AppError('store_unavailable', { detail: 'away' });
  };
  const documents: DocumentStore = {
    ...store.documents,
    list: async (collection) => {
      lists++;
      check();
      const found = await store.documents.list(collection);
      await gate;
      return found;
    },
    get: async (collection, id) => {
      check();
      return store.documents.get(collection, id);
    },
  };
  const problems: string[] = [];
  const directory = createAppDirectory({
    documents,
    vault,
    clock: systemClock,
    onProblem: (detail) => problems.push(detail),
  });
  const registry = createAppRegistry({ ...store, vault, clock: systemClock });
  t.after(async () => {
    directory.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    directory,
    registry,
    store,
    problems,
    lists: () => lists,
    setDown: (down: boolean) => (isDown = down),
    /** Holds every load from now on. @returns what lets them go */
    hold: (): (() => void) => {
      let open = (): void => undefined;
      gate = new Promise((resolve) => (open = resolve));
      return () => {
        gate = undefined;
        open();
      };
    },
    create: async (more: object = {}) =>
      (await registry.create(appRequest.parse({ name: 'a', algorithm: 'HS256', ...more }))).app,
  };
}

/** Whether a promise is still open after the event loop has turned a few times. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let isOpen = true;
  void promise.finally(() => (isOpen = false));
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  return isOpen;
}

/** What `look` finds at last. */
async function waitFor<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const end = performance.now() + 10_000; performance.now() < end;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise(setImmediate);
  }
  return assert.fail('not found in time');
}

describe('the app directory', () => {
  it('reads the store once for many requests, and keeps an app while it is the same', async (t) => {
    const under = await startDirectory(t);
    const { clientId } = await under.create();
    const found = await Promise.all(Array.from({ length: 50 }, () => under.directory.find(clientId)));
    const before = under.lists();
    assert.equal(new Set(found).size, 1);
    assert.equal(found[0]?.app.clientId, clientId);
    await under.create();
    assert.equal(await under.directory.find(clientId), found[0]);
    assert.equal(under.lists(), before + 1);
  });

  it('asks the store before it says that a client is unknown', async (t) => {
    const under = await startDirectory(t);
    assert.equal(await under.directory.find('cs-none'), undefined);
    under.setDown(true);
    await assert.rejects(under.directory.find('cs-none'), { code: 'store_unavailable' });
  });

  it('serves nobody from the old copy while a change is being loaded', async (t) => {
    const under = await startDirectory(t);
    const { clientId } = await under.create();
    assert.equal((await under.directory.find(clientId))?.app.enabled, true);
    const release = under.hold();
    await under.registry.update(clientId, { enabled: false });
    const finding = under.directory.find(clientId);
    assert.equal(await isPending(finding), true);
    release();
    assert.equal((await finding)?.app.enabled, false);
  });

  it('of two loads that overtake each other believes the later one', async (t) => {
    const under = await startDirectory(t);
    const { clientId } = await under.create();
    await under.directory.find(clientId);
    const releaseFirst = under.hold();
    await under.registry.update(clientId, { name: 'first' });
    const early = under.directory.find(clientId);
    const releaseSecond = under.hold();
    await under.registry.update(clientId, { name: 'second' });
    const late = under.directory.find(clientId);
    releaseSecond();
    assert.equal((await late)?.app.name, 'second');
    releaseFirst();
    await early;
    assert.equal((await under.directory.find(clientId))?.app.name, 'second');
  });

  it('refuses while the store is away after a change, and recovers by itself', async (t) => {
    const under = await startDirectory(t);
    const { clientId } = await under.create();
    await under.directory.find(clientId);
    under.setDown(true);
    await under.registry.update(clientId, { enabled: false });
    await assert.rejects(under.directory.find(clientId), { code: 'store_unavailable' });
    assert.match(under.problems.join(), /apps could not be loaded: store_unavailable/);
    assert.equal(under.problems.length, 1);
    await assert.rejects(under.directory.find(clientId), { code: 'store_unavailable' });
    assert.equal(under.problems.length, 1, 'asking makes no attempt of its own');
    under.setDown(false);
    const found = await waitFor(() => under.directory.find(clientId).catch(() => undefined));
    assert.equal(found.app.enabled, false);
  });

  it('lets no app that cannot be read take the others with it', async (t) => {
    const under = await startDirectory(t);
    const { clientId } = await under.create();
    for (const [id, body] of Object.entries({ 'cs-text': 'no JSON', 'cs-object': '{"name":"a"}', 'cs-null': 'null' })) {
      await under.store.documents.insert('apps', id, body);
      await assert.rejects(
        under.directory.find(id),
        (error) => !(error instanceof AppError) || error.code === 'internal',
      );
      assert.ok(under.problems.some((problem) => problem.includes(`the stored app ${id} cannot be read`)));
    }
    assert.equal((await under.directory.find(clientId))?.app.clientId, clientId);
  });

  it('knows which JWEs any app allows', async (t) => {
    const under = await startDirectory(t);
    assert.deepEqual(await under.directory.jweUnion(), { algs: [], encs: [] });
    await under.create({ jwe: { encs: ['A256GCM'] } });
    assert.deepEqual(await under.directory.jweUnion(), { algs: ['RSA-OAEP'], encs: ['A256GCM'] });
    const { clientId } = await under.create({ jwe: { encs: ['A128GCM'] } });
    assert.deepEqual((await under.directory.jweUnion()).encs, ['A128GCM', 'A256GCM']);
    await under.registry.remove(clientId);
    assert.deepEqual((await under.directory.jweUnion()).encs, ['A256GCM']);
    const old = await under.create({ jwe: { algs: ['RSA1_5'] } });
    assert.deepEqual((await under.directory.jweUnion()).algs, ['RSA-OAEP', 'RSA1_5']);
    await under.registry.update(old.clientId, { enabled: false });
    assert.deepEqual((await under.directory.jweUnion()).algs, ['RSA-OAEP']);
    await under.registry.remove(old.clientId);
    assert.deepEqual((await under.directory.jweUnion()).algs, ['RSA-OAEP']);
  });
});
