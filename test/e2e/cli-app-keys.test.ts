import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { createClaims, createRsaPair, signToken } from '../support/assertions.ts';
import { type Finished, runCountersign } from '../support/processes.ts';
import { type Json, makeFolder, post, start, toFolders, waitFor } from './cli-processes.ts';

/** A key that was made, as the command prints it. */
interface Made extends Json {
  readonly kid: string;
  readonly clientSecret: string;
  readonly former: readonly { readonly kid: string; readonly retiresAt: string }[];
}

const run = async (args: readonly string[], env: Record<string, string>): Promise<Json> => {
  const ended: Finished = await runCountersign(['apps', ...args], env);
  assert.deepEqual([ended.code, ended.stderr], [0, '']);
  return JSON.parse(ended.stdout) as Json;
};

describe('countersign apps rotate', () => {
  it('changes the secret under two running idproxies: no exchange with the new one fails, the old one ends on time', async (t) => {
    const one = await start(t, ['idproxy']);
    const env = { COUNTERSIGN_DATA_DIR: one.dataDir, COUNTERSIGN_KEYS_DIR: one.keysDir };
    const two = await start(t, ['idproxy'], env);
    const { clientId: id, clientSecret: old } = await run(['create', '--name', 'a', '--algorithm', 'HS256'], env);
    const clientId = String(id);
    const exchange = (url: string, secret: string): Promise<number> =>
      post(`${url}/authorize`, {
        assertion: signToken({ alg: 'HS256' }, createClaims(clientId, Date.now() / 1_000), 'HS256', secret),
      }).then(({ status }) => status);
    const urls = [one.idproxyUrl, two.idproxyUrl];
    const ask = (secret: string): Promise<number[]> => Promise.all(urls.map((url) => exchange(url, secret)));
    await waitFor(async () => (await ask(String(old))).every((status) => status === 200), 2_000);

    const made = (await run(['rotate', clientId, '--overlap-seconds', '4'], env)) as Made;
    assert.equal(made['clientId'], clientId);
    const endsAt = Date.parse(made.former[0]?.retiresAt ?? '');
    await waitFor(async () => (await ask(made.clientSecret)).every((status) => status === 200), 1_500);
    for (let refused = 0; refused < urls.length;) {
      const asked = Date.now();
      const [byOld, byNew] = [await ask(String(old)), await ask(made.clientSecret)];
      const answered = Date.now();
      assert.deepEqual(byNew, [200, 200]);
      refused = byOld.filter((status) => status === 401).length;
      if (answered < endsAt) assert.equal(refused, 0, 'before its end');
      if (asked > endsAt + 1_000) assert.equal(refused, urls.length, 'a second after its end');
    }

    const shown = await run(['show', clientId], env);
    assert.ok(!JSON.stringify(shown).includes(made.clientSecret));
    const next = (await run(['rotate', clientId], env)) as Made;
    const overlapMs = Date.parse(next.former[0]?.retiresAt ?? '') - Date.parse(String(next['createdAt']));
    assert.equal(Math.round(overlapMs / 1_000), 86_400);
    assert.deepEqual(await run(['retire-key', clientId, made.kid], env), { clientId, retired: made.kid });
    await waitFor(async () => (await ask(made.clientSecret)).every((status) => status === 401), 1_000);
    assert.deepEqual(await ask(next.clientSecret), [200, 200]);
  });

  it('takes a public key and a start, and a URL of keys', async (t) => {
    const folder = await makeFolder(t);
    const env = toFolders(folder);
    const pairs = [createRsaPair(), createRsaPair()];
    const files = pairs.map((_, index) => join(folder, `${index}.pem`));
    await Promise.all(pairs.map(({ publicKey }, index) => writeFile(files[index] ?? '', publicKey)));
    const [first = '', second = ''] = files;
    const app = await run(['create', '--name', 'a', '--algorithm', 'RS256', '--public-key', first], env);
    const clientId = String(app['clientId']);
    const lead = ['--activate-in-seconds', '3600', '--overlap-seconds', '60'];
    const made = (await run(['rotate', clientId, '--public-key', second, ...lead], env)) as Made;
    const since = (date: unknown): number => Math.round((Date.parse(String(date)) - Date.parse(String(made['createdAt']))) / 1_000); // prettier-ignore
    assert.deepEqual(
      [made['publicKey'], made['clientSecret'], since(made['activatesAt']), since(made.former[0]?.retiresAt)],
      [pairs[1]?.publicKey, undefined, 3_600, 3_660],
    );
    const remote = await run(
      ['create', '--name', 'b', '--algorithm', 'RS256', '--jwks-url', 'https://keys.example.com/jwks.json'],
      env,
    );
    assert.deepEqual(
      (remote['keys'] as Json[]).map(({ kind }) => kind),
      ['jwks'],
    );
  });

  it('does not start an idproxy with hosts that are none', async () => {
    const ended = await runCountersign(['idproxy'], { COUNTERSIGN_JWKS_HOSTS: 'keys.example.com,https://a.example' });
    assert.equal(ended.code, 2);
    assert.match(ended.stderr, /COUNTERSIGN_JWKS_HOSTS: "https:\/\/a\.example": a host is a name or an address/);
  });

  it('refuses what leaves an app without a key, a third key, and words that it does not know', async (t) => {
    const env = toFolders(await makeFolder(t));
    const app = await run(['create', '--name', 'a', '--algorithm', 'HS256'], env);
    const clientId = String(app['clientId']);
    const [{ kid }] = app['keys'] as [{ kid: string }];
    const refuse = async (code: number, message: RegExp, ...args: readonly string[]): Promise<void> => {
      const ended = await runCountersign(['apps', ...args], env);
      assert.equal(ended.code, code, ended.stderr);
      assert.match(ended.stderr, message);
      assert.equal(ended.stdout, '');
    };
    await refuse(1, /without a key, now/, 'retire-key', clientId, kid);
    await refuse(1, /the app has no such key/, 'retire-key', clientId, 'k-none');
    await refuse(1, /no app has this client id/, 'rotate', 'cs-none');
    await run(['rotate', clientId], env);
    await refuse(1, /2 keys that are not retired/, 'rotate', clientId);
    await refuse(2, /retire-key <clientId> <kid>/, 'retire-key', clientId);
    await refuse(2, /does not take --name/, 'rotate', clientId, '--name', 'b');
    await refuse(2, /takes no options/, 'retire-key', clientId, kid, '--overlap-seconds', '1');
    await refuse(2, /--overlap-seconds takes a whole number/, 'rotate', clientId, '--overlap-seconds', 'soon');
  });
});
