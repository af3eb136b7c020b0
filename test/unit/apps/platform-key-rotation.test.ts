import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { CompactEncrypt, createLocalJWKSet, importJWK, jwtVerify } from 'jose';

import { createPlatformKeys } from '../../../src/apps/platform-keys.ts';
import {
  createPlatformKeyRegistry,
  DELETED_AFTER_SECONDS,
  RETENTION_SECONDS,
} from '../../../src/apps/platform-keys/registry.ts';
import { PUBLISH_LEAD_SECONDS } from '../../../src/apps/platform-keys/schemas.ts';
import type { KeyUse } from '../../../src/apps/platform-keys/stored-key.ts';
import { AppError } from '../../../src/core/errors.ts';
import { createRsaPrivateKeyPem } from '../../../src/jose/jwk.ts';
import type { JweDecrypter } from '../../../src/jose/jwe.ts';
import { createSigningKey } from '../../../src/jose/signing-keys.ts';
import { createEmbeddedStore } from '../../../src/stores/embedded.ts';
import type { DocumentStore } from '../../../src/stores/ports.ts';
import { createVault } from '../../../src/vault/vault.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createTempFolder } from '../../support/processes.ts';

const START = 1_800_000_000;
const POLICY = { algs: ['RSA-OAEP'], encs: ['A256GCM'] } as const;
const vault = createVault(Buffer.alloc(32, 1));

/** A store with an admin and two instances beside it; their clock stands. */
async function open(t: TestContext) {
  const folder = await createTempFolder();
  const fake = createFakeClock(START);
  const clock = { ...fake, advance: (seconds: number) => fake.set(fake.nowSeconds() + seconds) };
  const store = createEmbeddedStore({ path: join(folder, 'keys.db'), clock });
  const { documents } = store;
  const instances = [1, 2].map(() => createPlatformKeys({ documents, vault, clock }));
  t.after(async () => {
    for (const { close } of instances) close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  const [here, there] = instances.map(({ keyring }) => keyring);
  assert.ok(here && there);
  await Promise.all([here(), there()]);
  return { clock, documents, here, there, registry: createPlatformKeyRegistry({ documents, vault, clock }) };
}

async function encryptFor({ jwk }: JweDecrypter, kid: string | undefined = jwk.kid): Promise<string> {
  return new CompactEncrypt(Buffer.from('inside'))
    .setProtectedHeader({ alg: 'RSA-OAEP', enc: 'A256GCM', ...(kid !== '' && { kid }) })
    .encrypt(await importJWK({ ...jwk }, 'RSA-OAEP'));
}

const kids = (keys: readonly { kid: string }[]): string[] => keys.map(({ kid }) => kid);
const toIso = (seconds: number): string => new Date(seconds * 1000).toISOString();

describe('rotation of the JWE keys', () => {
  it('publishes the new key at once, uses it when its time comes, takes the former one until it ends', async (t) => {
    const { clock, here, there, registry } = await open(t);
    const first = (await here()).current;
    const forFirst = await encryptFor(first);
    const made = await registry.rotate('enc', PUBLISH_LEAD_SECONDS);
    assert.equal(made.state, 'next');
    assert.equal(made.activatesAt, toIso(START + PUBLISH_LEAD_SECONDS));
    const opens = async (token: string, kid?: string): Promise<boolean[]> =>
      Promise.all(
        [here, there].map(async (ring) => {
          const selected = (await ring()).select(kid === undefined ? {} : { kid });
          const texts = await Promise.all(selected.map((key) => key.decrypt(token, POLICY).catch(() => '')));
          return texts.includes('inside');
        }),
      );

    for (const ring of [here, there]) {
      const keyring = await ring();
      assert.equal(keyring.current.kid, first.kid);
      assert.deepEqual(kids(keyring.jwks.keys), [first.kid, made.kid]);
    }
    const next = (await here()).select({ kid: made.kid })[0];
    assert.ok(next);
    const forNext = await encryptFor(next);
    // Somebody takes the new one from the JWKS before its time.
    assert.deepEqual(await opens(forNext, made.kid), [true, true]);

    clock.advance(PUBLISH_LEAD_SECONDS - 1);
    assert.equal((await there()).current.kid, first.kid);
    clock.advance(1);
    for (const ring of [here, there]) {
      assert.equal((await ring()).current.kid, made.kid);
      assert.deepEqual(kids((await ring()).jwks.keys), [made.kid, first.kid]);
    }
    clock.advance(RETENTION_SECONDS.enc - 1);
    assert.deepEqual(await opens(forFirst, first.kid), [true, true]);
    assert.deepEqual(await opens(forFirst), [true, true]);
    clock.advance(1);
    for (const kid of [first.kid, undefined]) assert.deepEqual(await opens(forFirst, kid), [false, false]);
    assert.deepEqual(await opens(forNext), [true, true]);
    assert.deepEqual(kids((await there()).jwks.keys), [made.kid]);
    assert.deepEqual(
      (await registry.list()).map(({ state }) => state),
      ['current', 'retired'],
    );
  });

  it('deletes what ended at the next act, and does not bring the first key back', async (t) => {
    const { clock, documents, here, registry } = await open(t);
    const first = (await here()).current.kid;
    const second = await registry.rotate('enc', 0);
    assert.equal(second.state, 'current');
    clock.advance(RETENTION_SECONDS.enc + DELETED_AFTER_SECONDS);
    const third = await registry.rotate('enc', 10);
    assert.deepEqual(
      (await registry.list()).map(({ kid, state }) => [kid, state]),
      [
        [third.kid, 'next'],
        [second.kid, 'current'],
      ],
    );
    assert.deepEqual(kids((await here()).all), [second.kid, third.kid]);
    assert.ok(!(await documents.list('platform-keys')).some(({ body }) => body.includes(first)));
    const later = createPlatformKeys({ documents, vault, clock });
    t.after(later.close);
    assert.equal((await later.keyring()).current.kid, second.kid);
  });

  it('of two admins that rotate together one succeeds', async (t) => {
    const { registry } = await open(t);
    const both = await Promise.allSettled([registry.rotate('enc', 60), registry.rotate('enc', 60)]);
    assert.deepEqual(both.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    assert.equal((await registry.list()).length, 2);
    await assert.rejects(registry.rotate('enc', 60), { code: 'platform_key_conflict' });
  });

  it('a next key that is given up leaves the current one without an end', async (t) => {
    const { clock, here, registry } = await open(t);
    const first = (await here()).current.kid;
    const next = await registry.rotate('enc', 60);
    assert.ok((await registry.list()).find(({ kid }) => kid === first)?.retiresAt);
    await registry.remove(next.kid);
    assert.deepEqual(
      (await registry.list()).map(({ kid, retiresAt }) => [kid, retiresAt]),
      [[first, undefined]],
    );
    clock.advance(10 * RETENTION_SECONDS.enc);
    assert.equal((await here()).current.kid, first);
  });

  it("a former key that ends before the next one begins takes nobody's place", async (t) => {
    const { clock, here, registry } = await open(t);
    const first = (await here()).current.kid;
    const second = await registry.rotate('enc', 0);
    await registry.retire(first, 10);
    const third = await registry.rotate('enc', 3_600);
    const isEarly = {
      code: 'platform_key_conflict',
      values: { detail: `its successor ${third.kid} is used only 3600 s later` },
    };
    await assert.rejects(registry.remove(second.kid), isEarly);
    await assert.rejects(registry.retire(second.kid, 0), isEarly);
    await registry.retire(first, 3_600);
    await registry.remove(second.kid);
    clock.advance(3_599);
    assert.equal((await here()).current.kid, first);
  });

  it('the last key cannot go, nor one whose successor is not used yet', async (t) => {
    const { clock, here, there, registry } = await open(t);
    const first = (await here()).current.kid;
    const isLast = {
      code: 'platform_key_conflict',
      values: { detail: `the key ${first} is the last one: rotate first` },
    };
    await assert.rejects(registry.remove(first), isLast);
    await assert.rejects(registry.retire(first), isLast);
    await assert.rejects(registry.retire(first, 0), isLast);
    const next = await registry.rotate('enc', 60);
    const isEarly = {
      code: 'platform_key_conflict',
      values: { detail: `its successor ${next.kid} is used only 60 s later` },
    };
    await assert.rejects(registry.remove(first), isEarly);
    await assert.rejects(registry.retire(first, 0), isEarly);
    assert.equal((await registry.retire(first, 60)).retiresAt, toIso(START + 60));
    clock.advance(59);
    assert.equal((await there()).current.kid, first);
    clock.advance(1);
    assert.deepEqual(kids((await there()).all), [next.kid]);
    await assert.rejects(registry.remove(next.kid), { code: 'platform_key_conflict' });
    await registry.remove(first);
    await assert.rejects(registry.remove(first), { code: 'platform_key_not_found' });
    await assert.rejects(registry.retire('nonsense'), { code: 'platform_key_not_found' });
  });

  it('a key that is deleted is unknown to the instance that did it at once, to others soon', async (t) => {
    const { here, there, registry } = await open(t);
    const first = (await here()).current;
    await registry.rotate('enc', 0);
    await registry.remove(first.kid);
    for (const ring of [here, there]) assert.deepEqual((await ring()).select({ kid: first.kid }), []);
  });

  it('keys stay in use when they cannot be loaded again, and are loaded when they can', async (t) => {
    const { clock, documents, registry } = await open(t);
    let isDown = false;
    const problems: string[] = [];
    let tell = (): void => undefined;
    const flaky: DocumentStore = {
      ...documents,
      list: async (collection) => {
        if (isDown) throw new AppError('store_unavailable');
        return documents.list(collection);
      },
      watch: (_collection, onChange) => {
        tell = onChange;
        return () => undefined;
      },
    };
    const keys = createPlatformKeys({ documents: flaky, vault, clock, onProblem: (detail) => problems.push(detail) });
    t.after(keys.close);
    const first = (await keys.keyring()).current.kid;
    await registry.rotate('enc', 0);
    isDown = true;
    tell();
    assert.equal((await keys.keyring()).current.kid, first);
    tell();
    assert.equal((await keys.keyring()).current.kid, first);
    assert.equal(problems.length, 1);
    isDown = false;
    tell();
    assert.notEqual((await keys.keyring()).current.kid, first);
  });

  it('a document of the version before is read', async (t) => {
    const { clock, documents, here } = await open(t);
    const [stored] = await documents.list('platform-keys');
    assert.ok(stored);
    const { kid, sealedKey } = JSON.parse(stored.body) as { kid: string; sealedKey: string };
    assert.equal(stored.id, 'jwe-1');
    assert.ok(await documents.update('platform-keys', 'jwe-1', JSON.stringify({ kid, sealedKey }), stored.revision));
    const later = createPlatformKeys({ documents, vault, clock });
    t.after(later.close);
    assert.deepEqual((await later.keyring()).jwks, (await here()).jwks);
    const [view] = await createPlatformKeyRegistry({ documents, vault, clock }).list();
    assert.deepEqual(view, { kid, use: 'enc', state: 'current' });
  });
});

describe('the signing keys', () => {
  it('are made at the first need, once by many, and are in the JWKS of all', async (t) => {
    const { documents, here, there } = await open(t);
    const [one, two] = await Promise.all([here(), there()]);
    assert.equal(one.jwks.keys.length, 1);
    const tokens = await Promise.all(
      [1, 2, 3].flatMap((n) => [one, two].map((ring) => ring.signing.sign('at+jwt', { n }))),
    );
    assert.equal((await documents.list('platform-keys')).length, 2);
    const { keys } = (await there()).jwks;
    assert.deepEqual(
      keys.map(({ use }) => use),
      ['enc', 'sig'],
    );
    for (const token of tokens) {
      assert.ok(await (await there()).signing.verify('at+jwt', token));
      const { protectedHeader } = await jwtVerify(token, createLocalJWKSet({ keys: keys.map((key) => ({ ...key })) }));
      assert.deepEqual(protectedHeader, { alg: 'RS256', typ: 'at+jwt', kid: keys[1]?.kid });
    }
  });

  it('rotate: the next one is published, and signs when its time comes; the former one verifies until it ends', async (t) => {
    const { clock, here, there, registry } = await open(t);
    const first = await registry.rotate('sig', PUBLISH_LEAD_SECONDS);
    assert.equal(first.state, 'current');
    const old = await (await here()).signing.sign('at+jwt', { n: 1 });
    const next = await registry.rotate('sig', 100);
    const readKid = (token: string): unknown =>
      (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: unknown }).kid;
    assert.equal(readKid(await (await here()).signing.sign('at+jwt', {})), first.kid);
    assert.deepEqual(kids((await there()).jwks.keys).slice(1), [first.kid, next.kid]);
    clock.advance(100);
    const fresh = await (await there()).signing.sign('at+jwt', { n: 2 });
    assert.equal(readKid(fresh), next.kid);
    clock.advance(RETENTION_SECONDS.sig - 1);
    assert.deepEqual(await (await here()).signing.verify('at+jwt', old), { n: 1 });
    clock.advance(1);
    assert.equal(await (await here()).signing.verify('at+jwt', old), undefined);
    assert.deepEqual(await (await here()).signing.verify('at+jwt', fresh), { n: 2 });
  });

  it('a sealed key is not taken for one of the other use', async (t) => {
    const { clock, documents } = await open(t);
    const [stored] = await documents.list('platform-keys');
    assert.ok(stored);
    const body = JSON.stringify({ ...(JSON.parse(stored.body) as object), use: 'sig' satisfies KeyUse });
    await documents.insert('platform-keys', 'sig-1', body);
    const later = createPlatformKeys({ documents, vault, clock });
    t.after(later.close);
    await assert.rejects(later.keyring(), { code: 'internal' });
  });

  it('verify takes nothing else than its own', async (t) => {
    const { here } = await open(t);
    const { signing } = await here();
    const token = await signing.sign('at+jwt', { sub: 'alice' });
    const [header = '', payload = '', signature = ''] = token.split('.');
    const kid = (JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }).kid;
    const toHeader = (fields: object): string => Buffer.from(JSON.stringify(fields)).toString('base64url');
    const live = (await here()).signing;
    const stranger = await createRsaPrivateKeyPem();
    const forged = await (await createSigningKey(kid, stranger)).sign('at+jwt', { sub: 'alice' });
    const cases: Record<string, [typ: string, token: string]> = {
      'another type': ['JWT', token],
      'a type in other letters': ['AT+JWT', token],
      'an empty token': ['at+jwt', ''],
      'two parts': ['at+jwt', `${header}.${payload}`],
      'a changed payload': ['at+jwt', `${header}.${toHeader({ sub: 'bob' })}.${signature}`],
      'no kid': ['at+jwt', `${toHeader({ alg: 'RS256', typ: 'at+jwt' })}.${payload}.${signature}`],
      'a kid of nobody': ['at+jwt', `${toHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'x' })}.${payload}.${signature}`],
      'alg none': ['at+jwt', `${toHeader({ alg: 'none', typ: 'at+jwt', kid })}.${payload}.`],
      'another algorithm': ['at+jwt', `${toHeader({ alg: 'HS256', typ: 'at+jwt', kid })}.${payload}.${signature}`],
      'a key of somebody else under our kid': ['at+jwt', forged],
      'a critical extension': [
        'at+jwt',
        `${toHeader({ alg: 'RS256', typ: 'at+jwt', kid, crit: ['x'] })}.${payload}.${signature}`,
      ],
    };
    assert.deepEqual(await live.verify('at+jwt', token), { sub: 'alice' });
    for (const [name, [typ, text]] of Object.entries(cases))
      assert.equal(await live.verify(typ, text), undefined, name);
  });
});
