import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';

import { createToken } from '../../src/core/ids.ts';
import { startChild } from '../support/child.ts';
import { getFreePort, runCountersign } from '../support/processes.ts';
import { assertSays, ISSUER, makeFolder, start, waitFor } from './cli-processes.ts';

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
    'apps list with an option': {
      args: ['apps', 'list', '--name', 'a'],
      code: 2,
      stderr: /apps list takes no options/,
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
        'COUNTERSIGN_ADMIN_TOKEN: must have at least 32',
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
    assertSays(stdout(), 'signs for ANY identity');
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
