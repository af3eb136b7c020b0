import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { createClaims, createRsaPair, signToken } from '../support/assertions.ts';
import { encryptText } from '../support/encrypt.ts';
import { runCountersign, startRedis } from '../support/processes.ts';
import { assertSays, type Json, makeFolder, post, start, toFolders } from './cli-processes.ts';

const WARNING = 'warning: the process list and the history of the shell show this token; pipe it in instead\n';

/** An app from the command line, and how to sign for it. */
async function createApp(env: Record<string, string>, settings: readonly string[] = []) {
  const ended = await runCountersign(['apps', 'create', '--name', 'Web', '--algorithm', 'HS256', ...settings], env);
  assert.equal(ended.code, 0, ended.stderr);
  const app = JSON.parse(ended.stdout) as { clientId: string; clientSecret: string; jwk: { kid: string } };
  const sign = (changes: Json = {}): string =>
    signToken({ alg: 'HS256' }, createClaims(app.clientId, Date.now() / 1_000, changes), 'HS256', app.clientSecret);
  return { ...app, sign };
}

async function explain(env: Record<string, string>, token: string, args: readonly string[] = []) {
  const { code, stdout, stderr } = await runCountersign(['explain', ...args], env, token);
  return { code, stdout, stderr, told: args.includes('--json') && code !== 2 ? (JSON.parse(stdout) as Json) : {} };
}

describe('countersign explain', () => {
  it('says what would become of a token while a server runs on the same folder, and uses nothing up', async (t) => {
    const server = await start(t, ['idproxy']);
    const env = { COUNTERSIGN_DATA_DIR: server.dataDir, COUNTERSIGN_KEYS_DIR: server.keysDir };
    const { clientId, clientSecret, sign } = await createApp(env, ['--enforce-jti', 'true']);
    const token = sign({ privateClaims: { account: 'account-4711' } });
    for (let times = 0; times < 2; times++) {
      const { code, stdout, stderr } = await explain(env, `${token}\n`);
      assert.deepEqual([code, stderr], [0, '']);
      assertSays(
        stdout,
        'would be accepted',
        `"iss" is "${clientId}": "Web"`,
        '"alice@example.com"',
        'not asked  replay',
      );
      for (const secret of [token, token.split('.')[2] as string, clientSecret, 'account-4711'])
        assert.ok(!stdout.includes(secret), secret);
    }
    assert.equal((await post(`${server.idproxyUrl}/authorize`, { assertion: token })).status, 200);
    const again = await post(`${server.idproxyUrl}/authorize`, { assertion: token });
    assert.match(JSON.stringify(again.body), /possibly a replay/);
  });

  it('says why it would be refused, as the server says it, with an exit code of 1', async (t) => {
    const server = await start(t, ['idproxy']);
    const env = { COUNTERSIGN_DATA_DIR: server.dataDir, COUNTERSIGN_KEYS_DIR: server.keysDir };
    const { sign, clientId, jwk } = await createApp(env);
    const at = Math.floor(Date.now() / 1_000) - 1_000;
    const token = sign({ exp: at, iat: at - 300, jti: undefined });
    const { code, stdout, stderr } = await explain(env, await encryptText(token, jwk, { kid: jwk.kid }), [
      '-',
      '--at',
      new Date((at + 42) * 1_000).toISOString(),
    ]);
    assert.deepEqual([code, stderr], [1, 'countersign explain: the token would be refused\n']);
    assertSays(
      stdout,
      'answer: 401 error verifying the jwt: "exp" is in the past: 42 s ago; tolerance 15 s\n',
      'log:    expired; "exp" is 42 s ago; tolerance 15 s; "iat" is 5 min 42 s ago\n',
      `decrypted with key "${jwk.kid}"`,
      'REFUSED    exp',
      `app ${clientId}\n  name: "Web"`,
    );
    const { body } = await post(`${server.idproxyUrl}/authorize`, { assertion: token });
    assert.match(JSON.stringify(body), /is in the past: 16 min \d+ s ago; tolerance 15 s/);
  });

  it('knows what the server calls itself, with and without a public URL', async (t) => {
    const { publicKey, privateKey } = createRsaPair();
    const folder = await makeFolder(t);
    const folders = toFolders(folder);
    await writeFile(join(folder, 'idp.pem'), publicKey);
    const settings = [
      '--algorithm',
      'RS256',
      '--public-key',
      join(folder, 'idp.pem'),
      '--id-jag-issuer',
      'https://idp.example',
    ];
    const created = await runCountersign(['apps', 'create', '--name', 'Agents', ...settings], folders);
    assert.equal(created.code, 0, created.stderr);
    const { clientId } = JSON.parse(created.stdout) as { clientId: string };
    for (const [env, aud] of [
      [{ COUNTERSIGN_IDPROXY_PORT: '4711' }, 'http://127.0.0.1:4711'],
      [{ COUNTERSIGN_PUBLIC_URL: 'https://chat.example' }, 'https://chat.example'],
    ] as const) {
      const claims = {
        ...createClaims(clientId, Date.now() / 1_000, { aud }),
        iss: 'https://idp.example',
        client_id: clientId,
      };
      const token = signToken({ alg: 'RS256', typ: 'oauth-id-jag+jwt' }, claims, 'RS256', privateKey);
      const { code, stdout } = await explain({ ...folders, ...env }, token);
      assert.equal(code, 0, stdout);
    }
  });

  it('for machines, on Redis', async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const env = {
      ...toFolders(await makeFolder(t)),
      COUNTERSIGN_STORE: 'redis',
      COUNTERSIGN_REDIS_URL: redis.url,
    };
    const { sign, clientId } = await createApp(env);
    const taken = await explain(env, sign(), ['--json']);
    assert.deepEqual([taken.code, taken.told['isAccepted'], taken.told['clientId']], [0, true, clientId]);
    const refused = await explain(env, sign({ aud: 'x' }), ['--json', '--app', clientId]);
    assert.deepEqual([refused.code, refused.told['isAccepted']], [1, false]);
    assert.equal((refused.told['answer'] as Json)['failure'], 'audience_mismatch');
  });

  it('warns of a token among the arguments, and refuses what it cannot take', async (t) => {
    const env = toFolders(await makeFolder(t));
    const { sign } = await createApp(env);
    const argued = await runCountersign(['explain', sign()], env);
    assert.deepEqual([argued.code, argued.stderr], [0, WARNING]);
    const WRONG: Readonly<Record<string, readonly [readonly string[], string, number, RegExp]>> = {
      'two tokens': [['a.b.c', 'd.e.f'], '', 2, /usage: countersign explain/],
      'an unknown option': [['--secret', 'x'], 'a.b.c', 2, /--secret/],
      'a time without a zone': [['--at', '2026-01-01T00:00:00'], 'a.b.c', 2, /--at takes/],
      'a time that is none': [['--at', 'yesterday'], 'a.b.c', 2, /--at takes/],
      'a time in milliseconds': [['--at', '1767225600000'], 'a.b.c', 2, /--at takes/],
      'no token': [[], '\n', 1, /"token" must have at least 1/],
      'a token of 40 KB': [[], 'x'.repeat(40_000), 1, /"token" must have at most 32768/],
      'no token at all': [[], 'abc', 1, /would be refused/],
    };
    for (const [what, [args, input, code, message]] of Object.entries(WRONG)) {
      const ended = await explain(env, input, args);
      assert.equal(ended.code, code, what);
      assert.match(ended.stderr, message, what);
    }
  });
});
