import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { AppError, type ErrorCode } from '../../../src/core/errors.ts';
import { sha256Hex } from '../../../src/core/secret.ts';
import { createCallerDirectory } from '../../../src/gateway/caller-registry.ts';
import { createConnectorDirectory, type DirectoryDeps } from '../../../src/gateway/connector-directory.ts';
import { MAX_STALE_SECONDS } from '../../../src/gateway/watched-copy.ts';
import type { DocumentStore } from '../../../src/stores/ports.ts';
import { BACKENDS } from '../../support/idproxy-under-test.ts';
import { until } from '../../contract/attempts.ts';
import { KEYS, startOpenssl } from './openssl.ts';
import { NOW, startRegistries } from './registries-under-test.ts';

const failsWith = (code: ErrorCode) => (error: unknown) => error instanceof AppError && error.code === code;

/** Registries, and a directory beside them whose store a test may take away. */
async function startBeside<T extends { close(): void }>(
  t: TestContext,
  create: (deps: DirectoryDeps) => T,
  backend: keyof typeof BACKENDS = 'embedded',
) {
  const registries = await startRegistries(t, { backend });
  let isDown = false;
  let lists = 0;
  let gate: Promise<void> | undefined;
  const list: DocumentStore['list'] = async (collection) => {
    lists++;
    if (isDown) throw new AppError('store_unavailable', { detail: 'away' });
    const found = await registries.documents.list(collection);
    await gate;
    return found;
  };
  const problems: string[] = [];
  const directory = create({
    documents: { ...registries.documents, list },
    clock: registries.clock,
    onProblem: (detail) => void problems.push(detail),
  });
  t.after(() => directory.close());
  return {
    ...registries,
    directory,
    problems,
    lists: () => lists,
    setDown: (down: boolean) => void (isDown = down),
    /** Holds every load from now on. @returns what lets them go */
    hold: (): (() => void) => {
      let open = (): void => undefined;
      gate = new Promise((resolve) => (open = resolve));
      return open;
    },
  };
}

for (const backend of Object.keys(BACKENDS) as (keyof typeof BACKENDS)[]) {
  describe(`directories on the ${backend} store`, () => {
    it('let a connector in by a certificate that is its own, known and not revoked', async (t) => {
      const { directory, connectors, create, clock } = await startBeside(t, createConnectorDirectory, backend);
      const csr = await (await startOpenssl(t)).request(KEYS['P-256']);
      const one = await create();
      const other = await create();
      const { serial } = await connectors.addCertificate(one.id, csr);
      assert.equal((await directory.authorize(one.id, serial.toUpperCase())).enabled, false);
      assert.equal(directory.isAuthorized(one.id, serial), true);
      await assert.rejects(directory.authorize(other.id, serial), failsWith('credential_invalid'));
      await assert.rejects(directory.authorize(one.id, 'ff'), failsWith('credential_invalid'));
      await assert.rejects(directory.authorize('cn-nobody', serial), failsWith('connector_not_found'));
      await connectors.enable(one.id);
      assert.equal((await directory.authorize(one.id, serial)).enabled, true);
      clock.set(NOW + 90 * 86_400);
      assert.equal(await directory.authorize(one.id, serial).catch(failsWith('credential_invalid')), true);
      clock.set(NOW);
      await connectors.revokeCertificate(one.id, serial);
      await assert.rejects(directory.authorize(one.id, serial), failsWith('credential_invalid'));
      assert.equal(directory.isAuthorized(one.id, serial), false);
      await connectors.remove(one.id);
      await assert.rejects(directory.authorize(one.id, serial), failsWith('connector_not_found'));
    });

    it('tell of what changed', async (t) => {
      const { directory, connectors, create } = await startBeside(t, createConnectorDirectory, backend);
      await assert.rejects(directory.authorize('cn-nobody', 'ff'));
      let changes = 0;
      const stop = directory.onChange(() => void changes++);
      const { id } = await create();
      await until(() => directory.findConnector(id) !== undefined, 'it is known');
      assert.ok(changes > 0);
      await connectors.enable(id);
      await until(() => directory.findConnector(id)?.enabled === true, 'it is enabled');
      assert.deepEqual(directory.listEnabled(), [id]);
      stop();
      const before = changes;
      await connectors.remove(id);
      await until(() => directory.findConnector(id) === undefined, 'it is gone');
      assert.equal(changes, before);
    });

    it('know a caller by the token, until the caller is deleted', async (t) => {
      const { directory, callers, documents } = await startBeside(t, createCallerDirectory, backend);
      const { caller, token } = await callers.create({ name: 'Bots' });
      assert.match(token, /^csc_[\w-]{43}$/);
      await directory.load();
      assert.deepEqual(directory.findCaller(token), caller);
      assert.deepEqual(caller, { id: caller.id, name: 'Bots', tokenHash: sha256Hex(token), createdAt: NOW });
      for (const wrong of [
        '',
        'csc_',
        `${token}x`,
        token.slice(4),
        caller.tokenHash,
        token.toLowerCase(),
        'x'.repeat(1e6),
      ]) {
        assert.equal(directory.findCaller(wrong), undefined, wrong.slice(0, 99));
      }
      const [stored] = await documents.list('callers');
      assert.ok(stored && !stored.body.includes(token.slice(4)));
      await callers.remove(caller.id);
      await until(() => directory.findCaller(token) === undefined, 'it is gone');
      await assert.rejects(callers.remove(caller.id), failsWith('caller_not_found'));
    });
  });
}

describe('a caller', () => {
  it('may be bound to connectors that exist', async (t) => {
    const { callers, create } = await startRegistries(t);
    const { id } = await create();
    const { caller } = await callers.create({ name: 'Bots', connectors: [id] });
    assert.deepEqual(caller.connectors, [id]);
    const unknown = ['cn-00000000-0000-4000-8000-000000000000'];
    await assert.rejects(callers.create({ name: 'Bots', connectors: unknown }), failsWith('invalid_request'));
    assert.deepEqual(
      (await callers.list()).map((one) => one.id),
      [caller.id],
    );
  });

  it('that cannot be read takes no other with it', async (t) => {
    const { directory, callers, documents, problems } = await startBeside(t, createCallerDirectory);
    const { token, caller } = await callers.create({ name: 'Bots' });
    await documents.insert('callers', 'cl-broken', '{');
    await directory.load();
    assert.equal(directory.findCaller(token)?.id, caller.id);
    assert.deepEqual([...new Set(problems)], ['the stored caller cl-broken cannot be read']);
  });
});

describe('a copy', () => {
  it('is nothing before the first load', async (t) => {
    const { directory } = await startBeside(t, createConnectorDirectory);
    assert.throws(() => directory.findConnector('cn-nobody'), failsWith('store_unavailable'));
    assert.throws(() => directory.isAuthorized('cn-nobody', 'ff'), failsWith('store_unavailable'));
  });

  it('serves on while the store is away, and no longer than it may', async (t) => {
    const { directory, callers, clock, setDown, problems } = await startBeside(t, createCallerDirectory);
    const { token } = await callers.create({ name: 'Bots' });
    await directory.load();
    setDown(true);
    for (let count = 0; count < 3; count++) await assert.rejects(directory.load(), failsWith('store_unavailable'));
    assert.deepEqual(problems, ['callers could not be loaded: store_unavailable: away']);
    clock.set(NOW + MAX_STALE_SECONDS);
    assert.equal(directory.findCaller(token)?.name, 'Bots');
    clock.set(NOW + MAX_STALE_SECONDS + 1);
    assert.throws(() => directory.findCaller(token), failsWith('store_unavailable'));
    setDown(false);
    const isThere = (): boolean => {
      try {
        return directory.findCaller(token)?.name === 'Bots';
      } catch {
        return false;
      }
    };
    await until(() => isThere(), 'the copy is back');
  });

  it('is read for all who ask at once together, and never from before they asked', async (t) => {
    const { directory, connectors, create, hold, lists } = await startBeside(t, createConnectorDirectory);
    const csr = await (await startOpenssl(t)).request(KEYS['P-256']);
    const { id } = await create();
    const { serial } = await connectors.addCertificate(id, csr);
    await directory.authorize(id, serial);
    const open = hold();
    const before = lists();
    const early = directory.authorize(id, serial);
    await connectors.revokeCertificate(id, serial);
    const late = Array.from({ length: 50 }, () => directory.authorize(id, serial));
    open();
    const settled = await Promise.allSettled([early, ...late]);
    for (const one of settled.slice(1)) assert.equal(one.status, 'rejected');
    assert.ok(lists() - before <= 4, `${lists() - before} loads`);
  });
});
