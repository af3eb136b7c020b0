import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import type { JWK } from 'jose';

import { parseApp } from '../../src/apps/app-document.ts';
import { openSecret } from '../../src/apps/keys/key-material.ts';
import { createAppRegistry } from '../../src/apps/registry.ts';
import { appRequest } from '../../src/apps/schemas.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { loadVault } from '../../src/vault/master-key.ts';
import { toSealedPrefix } from '../../src/vault/vault.ts';
import { createClaims, signToken } from '../support/assertions.ts';
import { startChild } from '../support/child.ts';
import { encryptText } from '../support/encrypt.ts';
import { runCountersign } from '../support/processes.ts';
import { type Json, makeFolder, post, start, toFolders, waitFor } from './cli-processes.ts';

const ADMIN_TOKEN = 'the-admin-token-of-this-test-000';
/** Enough that a run over them can be cut off. */
const APP_COUNT = 400;

type Env = Record<string, string>;

async function run(env: Env, ...args: string[]): Promise<Json> {
  const ended = await runCountersign(['keys', ...args], env);
  assert.equal(ended.code, 0, ended.stderr);
  return JSON.parse(ended.stdout) as Json;
}

/** Two idproxy processes on the same folders, with an app. */
async function startTwo(t: TestContext) {
  const env: Env = { ...toFolders(await makeFolder(t)), COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN };
  const [one, two] = [await start(t, ['idproxy'], env), await start(t, ['idproxy'], env)];
  const urls = [one.idproxyUrl, two.idproxyUrl];
  const createApp = async (url = one.idproxyUrl, settings: Json = {}) => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const { status, body } = await post(`${url}/admin/apps`, { name: 'A', algorithm: 'HS256', ...settings }, headers);
    assert.equal(status, 201);
    const { clientId, clientSecret } = body as { clientId: string; clientSecret: string };
    return (changes: Json = {}): string =>
      signToken({ alg: 'HS256' }, createClaims(clientId, Date.now() / 1000, changes), 'HS256', clientSecret);
  };
  const exchange = async (url: string, assertion: string) => {
    const { status, body } = await post(`${url}/api/oAuth/token/jwtgrant`, { assertion });
    const { userId } = (body['userInfo'] ?? {}) as { userId?: string };
    return { status, userId };
  };
  const jwks = async (url: string): Promise<(JWK & { kid: string })[]> =>
    ((await (await fetch(`${url}/.well-known/jwks.json`)).json()) as { keys: (JWK & { kid: string })[] }).keys;
  const kids = async (url: string): Promise<string> => (await jwks(url)).map(({ kid }) => kid).join();
  const everywhere = (isThere: (url: string) => Promise<boolean>): Promise<void> =>
    waitFor(async () => (await Promise.all(urls.map(isThere))).every(Boolean));
  return { env, urls, servers: [one, two], createApp, exchange, jwks, kids, everywhere };
}

describe('countersign keys', () => {
  it('rotates the JWE key: every instance publishes it first, uses it then, and takes the former one until it is retired', async (t) => {
    const { env, urls, createApp, exchange, jwks, kids, everywhere } = await startTwo(t);
    const sign = await createApp();
    const [old] = await jwks(urls[0] ?? '');
    assert.ok(old);
    const statuses = async (key: JWK): Promise<number[]> =>
      Promise.all(urls.map(async (url) => (await exchange(url, await encryptText(sign(), key))).status));
    assert.deepEqual(await statuses(old), [200, 200]);

    const made = await run(env, 'rotate', 'jwe', '--activate-in-seconds', '3');
    assert.equal(made['state'], 'next');
    const next = String(made['kid']);
    await everywhere(async (url) => (await kids(url)) === `${old.kid},${next}`);
    const fresh = (await jwks(urls[1] ?? '')).find(({ kid }) => kid === next);
    assert.ok(fresh);
    assert.deepEqual(
      [await statuses(old), await statuses(fresh)],
      [
        [200, 200],
        [200, 200],
      ],
    );
    await everywhere(async (url) => (await kids(url)) === `${next},${old.kid}`);
    assert.deepEqual(
      [await statuses(old), await statuses(fresh)],
      [
        [200, 200],
        [200, 200],
      ],
    );
    assert.deepEqual(await run(env, 'retire', old.kid, '--now'), { deleted: old.kid });
    await everywhere(async (url) => (await kids(url)) === next);
    assert.deepEqual(
      [await statuses(old), await statuses(fresh)],
      [
        [401, 401],
        [200, 200],
      ],
    );
    const last = await runCountersign(['keys', 'retire', next], env);
    assert.equal(last.code, 1);
    assert.match(last.stderr, /is the last one: rotate first/);
    const audit = await runCountersign(['audit'], env);
    assert.match(audit.stdout, /"act":"keys rotate jwe"/);
    assert.match(audit.stdout, /"act":"keys retire"/);
  });

  it('rotates the master key under running processes: nobody is refused, user ids stay, the old key goes', async (t) => {
    const { env, urls, servers, createApp, exchange } = await startTwo(t);
    const path = join(env['COUNTERSIGN_KEYS_DIR'] ?? '', 'master.key');
    const sign = await createApp();
    const [here = '', there = ''] = urls;
    const before = await exchange(here, sign({ privateClaims: { plan: 'gold' } }));
    assert.equal(before.status, 200);
    const signAgain = await createApp(here, { reuseWindowSeconds: 3_600 });
    const assertion = signAgain();
    for (const url of urls) assert.equal((await exchange(url, assertion)).status, 200);
    const { masterKeys } = (await run(env, 'list')) as { masterKeys: { keyId: string; state: string }[] };
    const former = masterKeys[0]?.keyId ?? '';

    await run(env, 'rotate', 'master');
    const active = String((await run(env, 'activate', 'master'))['keyId']);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    for (const url of urls) assert.equal((await exchange(url, sign())).status, 200);
    const reencrypted = await runCountersign(['keys', 'reencrypt'], env);
    assert.equal(reencrypted.code, 0, reencrypted.stderr);
    assert.match(reencrypted.stderr, /\{"collection":"apps","done":2,"of":2,"changed":2\}/);
    assert.deepEqual(JSON.parse(reencrypted.stdout), {
      keyId: active,
      documents: [
        { collection: 'apps', of: 2, changed: 2 },
        { collection: 'platform-keys', of: 1, changed: 1 },
        { collection: 'gateway-keys', of: 0, changed: 0 },
      ],
      left: { [former]: { sessions: 1, messages: 0 } },
    });
    for (const url of urls) assert.equal((await exchange(url, sign())).userId, before.userId);
    // The session that an assertion is exchanged for again is named by a key of the active master key: now it is a replay.
    for (const url of urls) {
      await waitFor(async () => (await exchange(url, assertion)).status === 401);
      assert.equal((await exchange(url, signAgain())).status, 200);
    }
    // What the other process seals now is under one of the keys of the file, whichever it knows.
    const signOther = await createApp(there);
    assert.equal((await exchange(here, signOther())).status, 200);

    const retire = (...more: string[]) => runCountersign(['keys', 'retire', 'master', former, ...more], env);
    assert.match((await retire('--now')).stderr, /a key was activated just now: try again in \d+ s/);
    const file = JSON.parse(await readFile(path, 'utf8')) as { keys: { activatedAt?: number }[] };
    for (const key of file.keys) if (key.activatedAt !== undefined) key.activatedAt -= 60;
    await writeFile(path, JSON.stringify(file));
    await run(env, 'reencrypt');
    assert.match((await retire()).stderr, /sealed the contexts of 1 sessions and 0 messages: wait/);
    assert.match((await runCountersign(['keys', 'retire', 'master', active], env)).stderr, /is the one that seals/);
    const gone = await retire('--now');
    assert.equal(gone.code, 0, gone.stderr);
    assert.deepEqual((JSON.parse(gone.stdout) as Json)['lost'], { sessions: 1, messages: 0 });

    for (const url of urls) assert.equal((await exchange(url, sign())).userId, before.userId);
    await servers[0]?.kill();
    const restarted = await start(t, ['idproxy'], env);
    assert.equal((await exchange(restarted.idproxyUrl, sign())).userId, before.userId);
    for (const server of servers) assert.doesNotMatch(server.stdout() + server.stderr(), /"level":(?:50|"error")/);
    const text = await readFile(path, 'utf8');
    for (const key of (JSON.parse(text) as { keys: { key: string }[] }).keys)
      for (const server of servers) assert.ok(!(server.stdout() + server.stderr()).includes(key.key));
  });

  it('a re-encryption that is killed leaves everything readable, and the next one finishes it; the old key cannot go before', async (t) => {
    const folders = toFolders(await makeFolder(t));
    const store = createEmbeddedStore({
      path: join(folders.COUNTERSIGN_DATA_DIR, 'countersign.db'),
      clock: systemClock,
    });
    t.after(() => store.close());
    const { vault: old } = await loadVault(folders.COUNTERSIGN_KEYS_DIR);
    const registry = createAppRegistry({ ...store, vault: old, clock: systemClock });
    const request = appRequest.parse({ name: 'A', algorithm: 'HS256' });
    await Promise.all(Array.from({ length: APP_COUNT }, () => registry.create(request)));
    const former = old.keyId;
    await run(folders, 'rotate', 'master');
    await run(folders, 'activate', 'master');

    const command = { command: process.execPath, args: [resolve('dist', 'main.js'), 'keys', 'reencrypt'] };
    const child = await startChild({ ...command, cwd: folders.COUNTERSIGN_DATA_DIR, env: folders });
    await waitFor(async () => child.stderr().includes('"done":20,'));
    await child.kill();
    const { vault } = await loadVault(folders.COUNTERSIGN_KEYS_DIR);
    const counts = async (): Promise<{ old: number; new: number }> => {
      const bodies = (await store.documents.list('apps')).map((document) => {
        const app = parseApp(document);
        for (const key of app.keys) assert.ok(openSecret(vault, app.clientId, key));
        return document.body;
      });
      const count = (keyId: string): number => bodies.filter((body) => body.includes(toSealedPrefix(keyId))).length;
      return { old: count(former), new: count(vault.keyId) };
    };
    const halfway = await counts();
    t.diagnostic(`killed after ${halfway.new} of ${APP_COUNT}`);
    assert.ok(halfway.new >= 20 && halfway.old > 0);
    assert.equal(halfway.old + halfway.new, APP_COUNT);

    const path = join(folders.COUNTERSIGN_KEYS_DIR, 'master.key');
    const file = JSON.parse(await readFile(path, 'utf8')) as { keys: { activatedAt?: number }[] };
    for (const key of file.keys) if (key.activatedAt !== undefined) key.activatedAt -= 60;
    await writeFile(path, JSON.stringify(file));
    const early = await runCountersign(['keys', 'retire', 'master', former, '--now'], folders);
    assert.equal(early.code, 1);
    assert.match(early.stderr, new RegExp(`sealed documents \\(${halfway.old} in apps, 1 in platform-keys\\)`));
    const { documents } = (await run(folders, 'reencrypt')) as { documents: { changed: number }[] };
    assert.equal(documents[0]?.changed, halfway.old);
    assert.deepEqual(await counts(), { old: 0, new: APP_COUNT });
    await run(folders, 'retire', 'master', former);
    await run(folders, 'list');
  });

  it('says how it is used, and shows no key', async (t) => {
    const env = toFolders(await makeFolder(t));
    const usage = [
      [],
      ['none'],
      ['list', 'more'],
      ['list', '--now'],
      ['rotate'],
      ['rotate', 'all'],
      ['rotate', 'jwe', 'more'],
      ['rotate', 'jwe', '--now'],
      ['rotate', 'jwe', '--activate-in-seconds', 'soon'],
      ['rotate', 'master', '--activate-in-seconds', '5'],
      ['activate'],
      ['activate', 'jwe'],
      ['retire'],
      ['retire', 'x', '--now', '--in-seconds', '5'],
      ['retire', 'x', 'y'],
      ['reencrypt', 'apps'],
    ];
    for (const args of usage) {
      const ended = await runCountersign(['keys', ...args], env);
      assert.deepEqual([ended.code, ended.stdout], [2, ''], args.join(' '));
    }
    const failures: Record<string, RegExp> = {
      'retire nobody': /the platform has no key of this id/,
      'retire master 00000000': /there is no master key of this id/,
      'activate master': /there is no next key: rotate first/,
      'rotate jwe --activate-in-seconds 999999999999': /"activatesInSeconds"/,
    };
    for (const [words, msg] of Object.entries(failures)) {
      const ended = await runCountersign(['keys', ...words.split(' ')], env);
      assert.deepEqual([ended.code, ended.stdout], [1, ''], words);
      assert.match(ended.stderr, msg);
    }
    await run(env, 'rotate', 'signing');
    await run(env, 'rotate', 'master');
    const listed = JSON.stringify(await run(env, 'list'));
    const { keys, stable } = JSON.parse(await readFile(join(env.COUNTERSIGN_KEYS_DIR, 'master.key'), 'utf8')) as {
      keys: { key: string }[];
      stable: Record<string, string>;
    };
    for (const secret of [...keys.map(({ key }) => key), ...Object.values(stable)]) assert.ok(!listed.includes(secret));
    assert.doesNotMatch(listed, /sealedKey|PRIVATE/);
  });
});
