import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Collection, DocumentStore } from '../../src/stores/ports.ts';
import { randomKey, until } from './attempts.ts';
import type { Opened } from './opened.ts';

/** What every backend owes to whoever keeps documents in it. */
export function describeDocuments(opened: () => Opened): void {
  const documents = (): DocumentStore => opened().store.documents;

  describe('documents', () => {
    test('a first revision is stored, read, and not stored twice', async () => {
      const id = randomKey();
      const body = '{"name":"line\\n feed \u2028 😀"}\n\n';
      assert.equal(await documents().get('apps', id), undefined);
      assert.equal(await documents().insert('apps', id, body), true);
      assert.deepEqual({ ...(await documents().get('apps', id)) }, { id, revision: 1, body });
      assert.equal(await documents().insert('apps', id, 'other'), false);
      assert.equal((await documents().get('apps', id))?.body, body);
    });

    test('an empty body is a body', async () => {
      const id = randomKey();
      assert.equal(await documents().insert('apps', id, ''), true);
      assert.deepEqual({ ...(await documents().get('apps', id)) }, { id, revision: 1, body: '' });
    });

    test('the list holds every document of its collection and no other', async () => {
      const ids = [randomKey(), randomKey(), '__proto__', 'constructor', 'a b'];
      for (const id of ids) await documents().insert('apps', id, `body of ${id}`);
      const key = randomKey();
      await documents().insert('platform-keys', key, 'key');
      const apps = await documents().list('apps');
      for (const id of ids) {
        assert.deepEqual({ ...apps.find((one) => one.id === id) }, { id, revision: 1, body: `body of ${id}` });
      }
      assert.ok(!apps.some(({ id }) => id === key));
      assert.ok((await documents().list('platform-keys')).some(({ id }) => id === key));
    });

    test('an update replaces the revision that it expects, and no other', async () => {
      const id = randomKey();
      assert.equal(await documents().update('apps', id, 'x', 1), false, 'there is none');
      await documents().insert('apps', id, 'one');
      assert.equal(await documents().update('apps', id, 'two', 1), true);
      assert.deepEqual({ ...(await documents().get('apps', id)) }, { id, revision: 2, body: 'two' });
      for (const stale of [0, 1, 3, -1]) {
        assert.equal(await documents().update('apps', id, 'stale', stale), false, `revision ${stale}`);
      }
      assert.deepEqual({ ...(await documents().get('apps', id)) }, { id, revision: 2, body: 'two' });
    });

    test('of 20 updates of one revision on two stores one wins', async () => {
      const other = await opened().open();
      const id = randomKey();
      await documents().insert('apps', id, 'start');
      const stores = [documents(), other.documents];
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, index) => (stores[index % 2] ?? documents()).update('apps', id, `${index}`, 1)),
      );
      assert.equal(results.filter(Boolean).length, 1);
      assert.deepEqual(
        { ...(await documents().get('apps', id)) },
        { id, revision: 2, body: `${results.indexOf(true)}` },
      );
    });

    test('a removed document is gone, and its id is free', async () => {
      const id = randomKey();
      assert.equal(await documents().remove('apps', id), false);
      await documents().insert('apps', id, 'one');
      assert.equal(await documents().remove('apps', id), true);
      assert.equal(await documents().get('apps', id), undefined);
      assert.equal(await documents().insert('apps', id, 'two'), true);
      assert.equal((await documents().get('apps', id))?.revision, 1);
    });

    const changes: Record<string, (store: DocumentStore, id: string) => Promise<boolean>> = {
      insert: (store, id) => store.insert('apps', `${id}-new`, 'x'),
      update: (store, id) => store.update('apps', id, 'x', 1),
      remove: (store, id) => store.remove('apps', id),
    };
    for (const [name, change] of Object.entries(changes)) {
      test(`a watch sees an ${name} made by another open store`, async () => {
        const other = await opened().open();
        const id = randomKey();
        await documents().insert('apps', id, 'start');
        const seen = createCounter();
        const stop = documents().watch('apps', seen.count);
        try {
          assert.equal(await change(other.documents, id), true);
          await until(async () => seen.reset() > 0 && (await isVisible(documents(), id, name)), 'the change is seen');
        } finally {
          stop();
        }
      });
    }

    test('a watch that ended, or is of another collection, is not told', async () => {
      const other = await opened().open();
      const counters = { ended: createCounter(), keys: createCounter(), apps: createCounter() };
      const watch = (collection: Collection, count: () => void): (() => void) => documents().watch(collection, count);
      const stops = [watch('platform-keys', counters.keys.count), watch('apps', counters.apps.count)];
      const end = watch('apps', counters.ended.count);
      try {
        await other.documents.insert('apps', randomKey(), 'x');
        await until(() => counters.ended.reset() > 0 && counters.apps.reset() > 0, 'both are told');
        end();
        counters.ended.reset();
        counters.keys.reset();
        await other.documents.insert('apps', randomKey(), 'x');
        await until(() => counters.apps.reset() > 0, 'the other is told');
        assert.equal(counters.ended.reset(), 0);
        assert.equal(counters.keys.reset(), 0);
      } finally {
        stops.forEach((stop) => stop());
      }
    });
  });
}

async function isVisible(store: DocumentStore, id: string, change: string): Promise<boolean> {
  if (change === 'insert') return (await store.get('apps', `${id}-new`)) !== undefined;
  const document = await store.get('apps', id);
  return change === 'remove' ? document === undefined : document?.revision === 2;
}

/** Counts calls; `reset` gives the count and starts again. */
function createCounter(): { count: () => void; reset: () => number } {
  let calls = 0;
  return {
    count: () => void calls++,
    reset: () => {
      const counted = calls;
      calls = 0;
      return counted;
    },
  };
}
