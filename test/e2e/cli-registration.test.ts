import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { createToken } from '../../src/core/ids.ts';
import { type Finished, runCountersign } from '../support/processes.ts';
import { assertSays, ISSUER, type Json, makeFolder, post, start, toFolders, waitFor } from './cli-processes.ts';

const AUDIENCE = 'https://idproxy.kore.com/authorize';

describe('countersign apps', () => {
  const run = async (args: readonly string[], env: Record<string, string>): Promise<Json> => {
    const ended: Finished = await runCountersign(['apps', ...args], env);
    assert.deepEqual([ended.code, ended.stderr], [0, '']);
    return JSON.parse(ended.stdout) as Json;
  };

  it('creates, shows, changes and deletes while a server runs on the same folder, which obeys', async (t) => {
    const server = await start(t, ['start'], { COUNTERSIGN_ADMIN_TOKEN: createToken(32) });
    const env = { COUNTERSIGN_DATA_DIR: server.dataDir, COUNTERSIGN_KEYS_DIR: server.keysDir };
    const options = [
      '--name',
      'From a shell',
      '--algorithm',
      'HS256',
      '--enforce-jti',
      'true',
      '--bots',
      'st-1, st-2',
      '--jwe-encs',
      'A256GCM',
      '--reuse-window-seconds',
      '7',
      '--max-lifetime-seconds',
      '600',
    ];
    const { clientId: id, clientSecret, jwk, ...app } = await run(['create', ...options], env);
    const clientId = String(id);
    assert.equal(app['enforceJti'], true);
    assert.deepEqual([app['bots'], app['reuseWindowSeconds'], app['maxLifetimeSeconds']], [['st-1', 'st-2'], 7, 600]);
    assert.deepEqual(app['jwe'], { required: false, algs: ['RSA-OAEP'], encs: ['A256GCM'] });
    const jwks = (await (await fetch(`${server.idproxyUrl}/.well-known/jwks.json`)).json()) as { keys: unknown[] };
    assert.deepEqual(jwks.keys, [jwk]);
    assert.deepEqual(await run(['show', clientId], env), { clientId, ...app });
    assert.equal(((await run(['list'], env))['apps'] as Json[]).length, 2);

    const issuer = await start(t, ['issuer'], {
      COUNTERSIGN_CLIENT_ID: clientId,
      COUNTERSIGN_CLIENT_SECRET: String(clientSecret),
      COUNTERSIGN_CALLER_AUTH: 'open',
    });
    const exchange = async (): Promise<number> => {
      const { body } = await post(`${issuer.issuerUrl}/users/sts`, { identity: 'alice' });
      return (await post(`${server.idproxyUrl}/authorize`, { assertion: body['jwt'] })).status;
    };
    assert.equal(await exchange(), 200);
    const changed = await run(['update', clientId, '--enabled', 'false', '--jwe-required', 'true'], env);
    assert.deepEqual(
      [changed['enabled'], changed['bots'], changed['jwe']],
      [false, ['st-1', 'st-2'], { required: true, algs: ['RSA-OAEP'], encs: ['A256GCM'] }],
    );
    await waitFor(async () => (await exchange()) === 401, 1_000);
    await run(['update', clientId, '--enabled', 'true', '--jwe-required', 'false'], env);
    await waitFor(async () => (await exchange()) === 200, 1_000);
    assert.deepEqual(await run(['delete', clientId], env), { deleted: clientId });
    await waitFor(async () => (await exchange()) === 401, 1_000);
  });

  it('takes a public key as PEM and as a JWK file', async (t) => {
    const folder = await makeFolder(t);
    const env = toFolders(folder);
    const { generateKeyPairSync } = await import('node:crypto');
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
    const files = { 'key.pem': pem, 'key.jwk': JSON.stringify(publicKey.export({ format: 'jwk' })) };
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(folder, name), text);
      const app = await run(
        ['create', '--name', name, '--algorithm', 'RS256', '--public-key', join(folder, name)],
        env,
      );
      assert.deepEqual([app['publicKey'], app['clientSecret']], [pem, undefined]);
    }
    await writeFile(join(folder, 'private.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const refused = await runCountersign(
      ['apps', 'create', '--name', 'a', '--algorithm', 'RS256', '--public-key', join(folder, 'private.pem')],
      env,
    );
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /this is a private key/);
  });
});

describe('countersign api-keys', () => {
  it('makes keys that an issuer takes', async (t) => {
    const folder = await makeFolder(t);
    const make = async (label: string): Promise<{ key: string; line: string }> => {
      const { code, stdout } = await runCountersign(['api-keys', 'create', '--label', label]);
      assert.equal(code, 0);
      return JSON.parse(stdout) as { key: string; line: string };
    };
    const [one, two] = [await make('mobile back end'), await make('shop')];
    assert.match(one.key, /^csk_[\w-]{43}$/);
    assert.ok(!one.line.includes(one.key));
    const file = join(folder, 'keys.txt');
    await writeFile(file, `# callers\n${one.line}\n${two.line}\n`);
    await chmod(file, 0o600);
    const issuer = await start(t, ['issuer'], {
      ...ISSUER,
      COUNTERSIGN_CALLER_AUTH: 'api-key',
      COUNTERSIGN_API_KEYS_FILE: file,
    });
    const ask = (authorization: string) =>
      post(
        `${issuer.issuerUrl}/users/sts`,
        { identity: 'alice', aud: AUDIENCE },
        authorization === '' ? {} : { authorization },
      );
    for (const { key } of [one, two]) assert.equal((await ask(`Bearer ${key}`)).status, 200);
    for (const wrong of ['', 'Bearer csk_x', `Bearer ${one.line.split(':')[1]}`])
      assert.equal((await ask(wrong)).status, 401);
    assertSays(issuer.stdout(), '"caller":"mobile back end"');
    assert.ok(!issuer.stdout().includes(one.key));
  });
});
