import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { createToken } from '../../src/core/ids.ts';
import { createCertificate } from '../http/server-certificate.ts';
import { startChild } from '../support/child.ts';
import {
  type CountersignProcess,
  createTempFolder,
  type Finished,
  getFreePort,
  runCountersign,
  startCountersign,
} from '../support/processes.ts';
import { openRaw } from '../unit/http/raw-http.ts';

type Json = Record<string, unknown>;

const AUDIENCE = 'https://idproxy.kore.com/authorize';
const SECRET = createToken(32);
const ISSUER = { COUNTERSIGN_CLIENT_ID: 'cs-1', COUNTERSIGN_CLIENT_SECRET: SECRET };

async function makeFolder(t: TestContext): Promise<string> {
  const folder = await createTempFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function start(
  t: TestContext,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CountersignProcess> {
  const process = await startCountersign(args, env);
  t.after(() => process.stop());
  return process;
}

async function post(
  url: string,
  body: object,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Json }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Json };
}

/** Every line of what was said, for a comparison that names what is missing. */
const assertSays = (text: string, ...sentences: readonly (string | RegExp)[]): void => {
  for (const sentence of sentences) {
    if (typeof sentence === 'string') assert.ok(text.includes(sentence), `"${sentence}" is not in:\n${text}`);
    else assert.match(text, sentence);
  }
};

/** Commands that end by themselves. */
const COMMANDS: Readonly<Record<string, { args: readonly string[]; code: number; stdout?: RegExp; stderr?: RegExp }>> =
  {
    'no word': { args: [], code: 0, stdout: /countersign start\n[^]*countersign apps create\|list/ },
    help: {
      args: ['help'],
      code: 0,
      stdout: /^Countersign \d+\.\d+\.\d+\n[^]*countersign issuer\n[^]*countersign api-keys create/,
    },
    '--help': { args: ['--help'], code: 0, stdout: /countersign idproxy/ },
    version: { args: ['version'], code: 0, stdout: /^\d+\.\d+\.\d+\n$/ },
    '--version': { args: ['--version'], code: 0, stdout: /^\d+\.\d+\.\d+\n$/ },
    'an unknown word': { args: ['stat'], code: 2, stderr: /countersign start/ },
    'a member of every object': { args: ['constructor'], code: 2, stderr: /countersign start/ },
    'apps without a word': { args: ['apps'], code: 2, stderr: /usage: countersign apps/ },
    'apps with an unknown word': { args: ['apps', 'toString'], code: 2, stderr: /usage: countersign apps/ },
    'apps show without an id': { args: ['apps', 'show'], code: 2, stderr: /usage: countersign apps/ },
    'apps list with an id': { args: ['apps', 'list', 'cs-1'], code: 2, stderr: /usage: countersign apps/ },
    'apps with too many words': { args: ['apps', 'show', 'cs-1', 'cs-2'], code: 2, stderr: /usage: countersign apps/ },
    'apps with an unknown option': { args: ['apps', 'create', '--colour', 'red'], code: 2, stderr: /--colour/ },
    'apps with a flag that is neither': {
      args: ['apps', 'create', '--enforce-jti', 'yes'],
      code: 2,
      stderr: /--enforce-jti takes true or false/,
    },
    'apps with a number that is none': {
      args: ['apps', 'create', '--reuse-window-seconds', '1e3'],
      code: 2,
      stderr: /--reuse-window-seconds takes a whole number/,
    },
    'apps with a key file that is not there': {
      args: ['apps', 'create', '--public-key', '/none'],
      code: 2,
      stderr: /--public-key: the file cannot be read/,
    },
    'apps create without a name': { args: ['apps', 'create', '--algorithm', 'HS256'], code: 1, stderr: /"name"/ },
    'apps create with an unknown algorithm': {
      args: ['apps', 'create', '--name', 'a', '--algorithm', 'none'],
      code: 1,
      stderr: /"algorithm"/,
    },
    'apps show of nothing': { args: ['apps', 'show', 'cs-none'], code: 1, stderr: /no app has this client id/ },
    'apps delete of nothing': { args: ['apps', 'delete', 'cs-none'], code: 1, stderr: /no app has this client id/ },
    'api-keys without a label': { args: ['api-keys', 'create'], code: 2, stderr: /usage: countersign api-keys/ },
    'api-keys with a label that no file holds': {
      args: ['api-keys', 'create', '--label', 'a:b'],
      code: 1,
      stderr: /is not label:sha256/,
    },
  };

describe('the command line', () => {
  for (const [name, { args, code, stdout = /^$/, stderr = /^$/ }] of Object.entries(COMMANDS)) {
    it(`ends with ${code}: ${name}`, async () => {
      const ended = await runCountersign(args);
      assert.match(ended.stdout, stdout);
      assert.match(ended.stderr, stderr);
      assert.doesNotMatch(ended.stderr, /\n\s+at /);
      assert.deepEqual([ended.code, ended.signal], [code, null]);
    });
  }
});

/** Environments that are not taken, and everything that is said about them. */
const BAD: Readonly<Record<string, { args: readonly string[]; env: Record<string, string>; says: readonly string[] }>> =
  {
    'many things at once': {
      args: ['start'],
      env: {
        COUNTERSIGN_ISSUER_PORT: '99999',
        COUNTERSIGN_STORE: 'mongo',
        COUNTERSIGN_ADMIN_TOKEN: 'short',
        COUNTERSIGN_LOG_LEVEL: 'loud',
        COUNTERSIGN_TYPO: '1',
        COUNTERSIGN_CORS_ORIGINS: '*',
      },
      says: [
        'COUNTERSIGN_ISSUER_PORT: must be from 0 to 65535',
        'COUNTERSIGN_STORE: must be one of embedded, redis',
        'COUNTERSIGN_ADMIN_TOKEN: must have at least 22',
        'COUNTERSIGN_LOG_LEVEL: must be one of',
        'COUNTERSIGN_TYPO: there is no such setting',
        'COUNTERSIGN_CORS_ORIGINS: must be origins',
        'has 6 problem(s)',
      ],
    },
    'an unknown name': {
      args: ['idproxy'],
      env: { COUNTERSIGN_ADMIN_TOKN: createToken(32) },
      says: ['COUNTERSIGN_ADMIN_TOKN: there is no such setting'],
    },
    'an issuer without anything': {
      args: ['issuer'],
      env: {},
      says: ['COUNTERSIGN_CLIENT_ID: is needed', 'COUNTERSIGN_CALLER_AUTH: must be set'],
    },
    'an issuer without a secret': {
      args: ['issuer'],
      env: { COUNTERSIGN_CLIENT_ID: 'cs-1', COUNTERSIGN_CALLER_AUTH: 'open' },
      says: ['COUNTERSIGN_CLIENT_SECRET: is needed'],
    },
    'an issuer with a short secret': {
      args: ['issuer'],
      env: { COUNTERSIGN_CLIENT_ID: 'cs-1', COUNTERSIGN_CLIENT_SECRET: 'short-one', COUNTERSIGN_CALLER_AUTH: 'open' },
      says: ['the issuer:'],
    },
    'an open issuer on the network': {
      args: ['issuer'],
      env: { ...ISSUER, COUNTERSIGN_CALLER_AUTH: 'open', COUNTERSIGN_HOST: '0.0.0.0' },
      says: ['COUNTERSIGN_ALLOW_OPEN_ISSUER_ON_NETWORK'],
    },
    'an open start on the network': {
      args: ['start'],
      env: { COUNTERSIGN_CALLER_AUTH: 'open', COUNTERSIGN_HOST: '0.0.0.0' },
      says: ['COUNTERSIGN_ALLOW_OPEN_ISSUER_ON_NETWORK'],
    },
    'a start on the network that says nothing': {
      args: ['start'],
      env: { COUNTERSIGN_HOST: '::' },
      says: ['COUNTERSIGN_CALLER_AUTH: must be set'],
    },
    'an address that only looks like loopback': {
      args: ['start'],
      env: { COUNTERSIGN_HOST: '127.0.0.1.example.com' },
      says: ['COUNTERSIGN_CALLER_AUTH: must be set'],
    },
    'Redis without an address': {
      args: ['idproxy'],
      env: { COUNTERSIGN_STORE: 'redis' },
      says: ['COUNTERSIGN_REDIS_URL: is needed'],
    },
    'an address that is not of Redis': {
      args: ['idproxy'],
      env: { COUNTERSIGN_REDIS_URL: 'http://:S3CR3T@127.0.0.1' },
      says: ['COUNTERSIGN_REDIS_URL: must be a redis:// or rediss:// URL'],
    },
    'a certificate without a key': {
      args: ['idproxy'],
      env: { COUNTERSIGN_TLS_CERT_FILE: '/none' },
      says: ['COUNTERSIGN_TLS_CERT_FILE: the file cannot be read (ENOENT)', 'set both or none'],
    },
    'a key file that is not there': {
      args: ['issuer'],
      env: { ...ISSUER, COUNTERSIGN_CALLER_AUTH: 'api-key', COUNTERSIGN_API_KEYS_FILE: '/none' },
      says: ['COUNTERSIGN_API_KEYS_FILE: the file cannot be read (ENOENT)'],
    },
  };

describe('a configuration', () => {
  for (const [name, { args, env, says }] of Object.entries(BAD)) {
    it(`is refused with all that is wrong, quoting nothing: ${name}`, async () => {
      const ended = await runCountersign(args, env);
      assertSays(ended.stderr, ...says);
      assert.doesNotMatch(ended.stderr, /S3CR3T|short-one|99999|\n\s+at /);
      assert.deepEqual([ended.code, ended.stdout], [2, '']);
    });
  }

  it('takes an empty value for none', async (t) => {
    await start(t, ['start'], {
      COUNTERSIGN_LOG_LEVEL: '',
      COUNTERSIGN_REDIS_URL: '',
      COUNTERSIGN_ADMIN_TOKEN: '',
      COUNTERSIGN_RATE_LIMIT_PER_MINUTE: '',
      COUNTERSIGN_CALLER_AUTH: '',
    });
  });

  it('takes an open issuer on the network where a second setting says so', async (t) => {
    const { stdout } = await start(t, ['issuer'], {
      ...ISSUER,
      COUNTERSIGN_CALLER_AUTH: 'open',
      COUNTERSIGN_HOST: '0.0.0.0',
      COUNTERSIGN_ALLOW_OPEN_ISSUER_ON_NETWORK: 'true',
    });
    assertSays(stdout(), /signs for ANY identity/);
  });

  it('is read from .env in the current folder; the environment wins', async (t) => {
    const folder = await makeFolder(t);
    const main = resolve('dist', 'main.js');
    const token = createToken(32);
    const port = await getFreePort();
    const lines = {
      COUNTERSIGN_IDPROXY_PORT: port,
      COUNTERSIGN_ADMIN_TOKEN: token,
      COUNTERSIGN_DATA_DIR: 'd',
      COUNTERSIGN_KEYS_DIR: 'k',
      COUNTERSIGN_LOG_LEVEL: 'loud',
      COUNTERSIGN_METRICS_TOKEN: '',
    };
    await writeFile(
      join(folder, '.env'),
      Object.entries(lines)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    );
    const refused = await startChild({ command: process.execPath, args: [main, 'idproxy'], cwd: folder });
    assert.deepEqual(await refused.exited, { code: 2, signal: null });
    assertSays(refused.stderr(), 'COUNTERSIGN_LOG_LEVEL: must be one of');

    const child = await startChild({
      command: process.execPath,
      args: [main, 'idproxy'],
      cwd: folder,
      env: { COUNTERSIGN_LOG_LEVEL: 'info' },
    });
    t.after(() => child.stop());
    const url = `http://127.0.0.1:${port}`;
    await waitFor(async () => (await fetch(`${url}/readyz`)).ok);
    assert.equal((await fetch(`${url}/admin/apps`, { headers: { authorization: `Bearer ${token}` } })).status, 200);
    assert.deepEqual([(await readdir(folder)).sort(), (await child.stop()).code], [['.env', 'd', 'k'], 0]);
  });
});

/** Polls until `isThere` says yes; a refusal to connect counts as no. */
async function waitFor(isThere: () => Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await isThere().catch(() => false))) {
    assert.ok(performance.now() < end, `not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const toFolders = (folder: string) => ({
  COUNTERSIGN_DATA_DIR: join(folder, 'data'),
  COUNTERSIGN_KEYS_DIR: join(folder, 'keys'),
});

const readTokens = (text: string): string[] =>
  [...text.matchAll(/admin token[^:\n]*: (\S+)/g)].map(([, token = '']) => token);

describe('countersign start', () => {
  it("prints the admin token on the first run and never again; keys are their owner's alone", async (t) => {
    const env = toFolders(await makeFolder(t));
    const first = await startCountersign(['start'], env);
    const [token = ''] = readTokens(first.stdout());
    const ask = (process: CountersignProcess): Promise<Response> =>
      fetch(`${process.idproxyUrl}/admin/apps`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal((await ask(first)).status, 200);
    assert.deepEqual(await first.stop(), { code: 0, signal: null });
    for (const name of await readdir(env.COUNTERSIGN_KEYS_DIR)) {
      assert.equal((await stat(join(env.COUNTERSIGN_KEYS_DIR, name))).mode & 0o777, 0o600, name);
      assert.ok(!(await readFile(join(env.COUNTERSIGN_KEYS_DIR, name), 'utf8')).includes(token), name);
    }
    assert.equal((await stat(env.COUNTERSIGN_KEYS_DIR)).mode & 0o777, 0o700);
    assert.equal((await stat(env.COUNTERSIGN_DATA_DIR)).mode & 0o777, 0o700);

    const second = await start(t, ['start'], env);
    assert.deepEqual(readTokens(second.stdout()), []);
    assertSays(second.stdout(), 'Countersign runs.', '/api/1.1/userinfo');
    const { apps } = (await (await ask(second)).json()) as { apps: Json[] };
    assert.equal(apps.length, 1);
  });

  it('prints no token where one is given', async (t) => {
    const process = await start(t, ['start'], { COUNTERSIGN_ADMIN_TOKEN: createToken(32) });
    assert.deepEqual(readTokens(process.stdout()), []);
    assert.deepEqual((await readdir(process.keysDir)).sort(), ['demo-client-HS256.json', 'master.key']);
  });

  it('signs with each algorithm for its demo app, and keeps that app', async (t) => {
    const env = toFolders(await makeFolder(t));
    for (const algorithm of ['HS512', 'RS256', 'HS512']) {
      const process = await startCountersign(['start'], { ...env, COUNTERSIGN_ALGORITHM: algorithm });
      const minted = await post(`${process.issuerUrl}/users/sts`, { identity: 'alice' });
      const granted = await post(`${process.idproxyUrl}/authorize`, { assertion: minted.body['jwt'] });
      assert.deepEqual([minted.status, granted.status], [200, 200], process.stdout());
      await process.stop();
    }
    const listed = await runCountersign(['apps', 'list'], env);
    const { apps } = JSON.parse(listed.stdout) as { apps: Json[] };
    assert.deepEqual(apps.map(({ name }) => name).sort(), ['Demo (HS512)', 'Demo (RS256)']);
  });

  it('says which port is in use', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    t.after(() => taken.close());
    const { port } = taken.address() as { port: number };
    for (const name of ['COUNTERSIGN_IDPROXY_PORT', 'COUNTERSIGN_ISSUER_PORT']) {
      const ended = await runCountersign(['start'], { [name]: String(port) });
      assertSays(ended.stderr, `port ${port} is in use`);
      assert.equal(ended.code, 1);
    }
  });

  it('ends with 0 on SIGTERM, after what is in flight', async (t) => {
    const process = await start(t, ['start']);
    const busy = await openRaw(process.issuerPort);
    const body = JSON.stringify({ identity: 'alice' });
    busy.send(
      `POST /users/sts HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 3)}`,
    );
    // An answer on another connection: the first one has been read by then.
    assert.equal((await fetch(`${process.issuerUrl}/healthz`)).status, 200);
    process.signal('SIGTERM');
    await waitFor(() =>
      openRaw(process.issuerPort).then(
        ({ socket }) => (socket.destroy(), false),
        () => true,
      ),
    );
    busy.send(body.slice(3));
    assert.match(await busy.closed(), /200 OK[^]*\{"jwt":"/);
    assert.deepEqual(await process.exited, { code: 0, signal: null });
    assert.equal(process.stderr(), '');
  });

  it('speaks HTTPS with a certificate', async (t) => {
    const { cert, certFile, keyFile } = await createCertificate(t);
    const process = await start(t, ['start'], {
      COUNTERSIGN_TLS_CERT_FILE: certFile,
      COUNTERSIGN_TLS_KEY_FILE: keyFile,
    });
    assertSays(process.stdout(), process.issuerUrl, process.idproxyUrl);
    assert.match(process.issuerUrl, /^https:/);
    const script = `const r = await fetch('${process.issuerUrl}/users/sts', { method: 'POST', body: new URLSearchParams({ identity: 'a' }) }); console.log(r.status);`;
    const child = await startChild({
      command: globalThis.process.execPath,
      args: ['--input-type=module', '-e', script],
      cwd: '.',
      env: { NODE_EXTRA_CA_CERTS: certFile },
    });
    await child.exited;
    assert.equal(child.stdout(), '200\n', child.stderr());
    assert.ok(cert.length > 0);
  });

  it('does not start on a folder that it cannot write', async (t) => {
    const folder = await makeFolder(t);
    await writeFile(join(folder, 'file'), '');
    const ended = await runCountersign(['start'], { COUNTERSIGN_DATA_DIR: join(folder, 'file', 'data') });
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /^countersign start: .*ENOTDIR/);
  });

  it('does not start with a master key that is none', async (t) => {
    const env = toFolders(await makeFolder(t));
    await mkdir(env.COUNTERSIGN_KEYS_DIR);
    await writeFile(join(env.COUNTERSIGN_KEYS_DIR, 'master.key'), 'S3CR3T\n');
    const ended = await runCountersign(['start'], env);
    assert.equal(ended.code, 1);
    assertSays(ended.stderr, 'must hold 32 bytes as base64url');
    assert.doesNotMatch(ended.stderr, /S3CR3T/);
  });

  it('of several at once on one folder makes one master key, one platform key and one admin token', async (t) => {
    const env = toFolders(await makeFolder(t));
    const processes = await Promise.all([1, 2, 3].map(() => startCountersign(['idproxy'], env)));
    t.after(() => Promise.all(processes.map((process) => process.stop())));
    const tokens = processes.flatMap(({ stdout }) => readTokens(stdout()));
    assert.equal(tokens.length, 1);
    const keys = await Promise.all(
      processes.map(async ({ idproxyUrl }) => (await fetch(`${idproxyUrl}/.well-known/jwks.json`)).text()),
    );
    assert.equal(new Set(keys).size, 1);
    assert.equal((JSON.parse(keys[0] ?? '') as { keys: unknown[] }).keys.length, 1);
    const authorization = `Bearer ${tokens[0]}`;
    const made = await post(
      `${processes[0]?.idproxyUrl}/admin/apps`,
      { name: 'a', algorithm: 'HS256' },
      { authorization },
    );
    assert.equal(made.status, 201);
    for (const { idproxyUrl } of processes) {
      const shown = await fetch(`${idproxyUrl}/admin/apps/${String(made.body['clientId'])}`, {
        headers: { authorization },
      });
      assert.equal(shown.status, 200);
    }
    assert.deepEqual((await readdir(env.COUNTERSIGN_KEYS_DIR)).sort(), ['admin-token.sha256', 'master.key']);
  });
});

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
