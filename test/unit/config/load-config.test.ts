import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { inspect } from 'node:util';

import type { Config, Program } from '../../../src/config/config.ts';
import { ConfigError } from '../../../src/config/config-error.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { RULES } from '../../../src/config/rules.ts';
import { VARIABLES } from '../../../src/config/variables.ts';
import { Secret } from '../../../src/core/secret.ts';

type Env = Readonly<Record<string, string | undefined>>;

const PROGRAMS: readonly Program[] = ['start', 'issuer', 'idproxy', 'gateway', 'tools'];
const folder = mkdtempSync(join(tmpdir(), 'countersign-config-'));
after(() => rmSync(folder, { recursive: true }));

/** A file in the test's folder, for a variable that names one. */
function createFile(name: string, content = 'content'): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const FILE = createFile('some.txt');

/** A bot behind a URL. */
const WEBHOOK: Env = {
  COUNTERSIGN_BOT: 'webhook',
  COUNTERSIGN_BOT_WEBHOOK_URL: 'https://bot.example/',
  COUNTERSIGN_BOT_WEBHOOK_SECRET: 'a w3bhook secret of 32 characters',
};

/** Where webhooks of connectors go. */
const TARGETS: Env = {
  COUNTERSIGN_WEBHOOK_TARGETS: 'crm=https://crm.example/hooks',
  COUNTERSIGN_WEBHOOK_SECRET: 'a w3bhook secret of 32 characters',
};

/** Variables under which each program starts; an issuer that is good in every way. */
const ISSUER: Env = {
  COUNTERSIGN_CLIENT_ID: 'cs-1',
  COUNTERSIGN_CLIENT_SECRET: 'a-cl1ent-s3cret',
  COUNTERSIGN_CALLER_AUTH: 'api-key',
  COUNTERSIGN_API_KEYS_FILE: FILE,
};
const GOOD: Readonly<Record<Program, Env>> = { start: {}, issuer: ISSUER, idproxy: {}, gateway: {}, tools: {} };

/** The problems of a configuration that is not taken. */
function findProblems(env: Env, program: Program): readonly string[] {
  try {
    loadConfig({ ...GOOD[program], ...env }, program);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    for (const problem of error.problems) assert.ok(error.message.includes(problem));
    return error.problems;
  }
  return [];
}

describe('loadConfig', () => {
  for (const program of PROGRAMS) {
    it(`takes what is good: ${program}`, () => {
      const config = loadConfig(GOOD[program], program);
      assert.equal(config.program, program);
      assert.equal(config.host, '127.0.0.1');
      assert.equal(config.issuerPort, 3000);
      assert.equal(config.idproxyPort, 4000);
      assert.equal(config.store, 'embedded');
      assert.equal(config.isLoopback, true);
      assert.equal(config.tokenLifetimeSeconds, 300);
      assert.deepEqual(config.audience, ['https://idproxy.kore.com/authorize']);
      assert.deepEqual(config.corsOrigins, []);
    });
  }

  it('is frozen, the lists in it too', () => {
    const config = loadConfig(
      { COUNTERSIGN_CORS_ORIGINS: 'https://a.example', COUNTERSIGN_TRUST_PROXY: '10.0.0.1' },
      'start',
    );
    assert.ok(Object.isFrozen(config));
    for (const [name, value] of Object.entries(config)) assert.ok(Object.isFrozen(value), name);
    assert.throws(() => config.corsOrigins.push('https://evil.example'), TypeError);
  });

  it('has a setting for every variable, and looks at no other', () => {
    const config = loadConfig({ PATH: '/bin', HOME: '/', COUNTERSIGNED: 'x', countersign_host: 'x' }, 'start');
    for (const name of Object.keys(VARIABLES)) {
      const words = name.slice('COUNTERSIGN_'.length).toLowerCase().split('_');
      const setting = words
        .map((word, index) => (index === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1)))
        .join('');
      assert.ok(Object.hasOwn(config, setting), setting);
    }
    assert.equal(Object.values(config).includes('/bin'), false);
  });

  it('takes an empty value for an unset one', () => {
    const env = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, '']));
    assert.deepEqual(loadConfig(env, 'start'), loadConfig({}, 'start'));
    assert.deepEqual(findProblems({ COUNTERSIGN_CLIENT_ID: '' }, 'issuer'), [
      'COUNTERSIGN_CLIENT_ID: is needed by the issuer',
    ]);
    assert.deepEqual(findProblems({ COUNTERSIGN_NO_SUCH: undefined }, 'start'), []);
  });

  it('names every problem at once: malformed, unknown, missing, unreadable, contradictory', () => {
    const problems = findProblems(
      {
        COUNTERSIGN_ISSUER_PORT: '70000',
        COUNTERSIGN_CORS_ORIGINS: '*',
        COUNTERSIGN_TLS_CERT_FILE: join(folder, 'not-there.pem'),
        COUNTERSIGN_CALER_AUTH: 'oidc',
        COUNTERSIGN_CLIENT_ID: '',
        COUNTERSIGN_API_KEYS_FILE: '',
        COUNTERSIGN_STORE: 'redis',
        constructor: 'x',
        COUNTERSIGN_: 'x',
      },
      'issuer',
    );
    assert.deepEqual(problems, [
      'COUNTERSIGN_ISSUER_PORT: must be from 0 to 65535',
      'COUNTERSIGN_CORS_ORIGINS: must be origins like https://www.example.com, separated by commas',
      'COUNTERSIGN_CALER_AUTH: there is no such setting',
      'COUNTERSIGN_: there is no such setting',
      'COUNTERSIGN_TLS_CERT_FILE: the file cannot be read (ENOENT)',
      'COUNTERSIGN_REDIS_URL: is needed by COUNTERSIGN_STORE=redis',
      'COUNTERSIGN_TLS_CERT_FILE and COUNTERSIGN_TLS_KEY_FILE: set both or none',
      'COUNTERSIGN_CLIENT_ID: is needed by the issuer',
      'COUNTERSIGN_API_KEYS_FILE: is needed by COUNTERSIGN_CALLER_AUTH=api-key',
    ]);
  });

  it('draws no conclusion from a malformed value', () => {
    assert.deepEqual(findProblems({ COUNTERSIGN_CALLER_AUTH: 'apikey' }, 'issuer'), [
      'COUNTERSIGN_CALLER_AUTH: must be one of open, api-key, forward-auth, oidc',
    ]);
    assert.deepEqual(findProblems({ COUNTERSIGN_ALGORITHM: 'none', COUNTERSIGN_CLIENT_SECRET: '' }, 'issuer'), [
      'COUNTERSIGN_ALGORITHM: must be one of HS256, HS512, RS256, RS512',
    ]);
  });

  it('never shows a secret: not in an error, not when printed', () => {
    const secrets = {
      COUNTERSIGN_ADMIN_TOKEN: 'adm1n-t0ken',
      COUNTERSIGN_METRICS_TOKEN: 'm3trics',
      COUNTERSIGN_CLIENT_SECRET: 'cl1ent-s3cret',
      COUNTERSIGN_CLAIMS_URL_TOKEN: 'cl4ims-token',
      COUNTERSIGN_BOT_WEBHOOK_SECRET: 'w3bhook-secret',
      COUNTERSIGN_REDIS_URL: 'http://:r3dis-password@10.0.0.1:6379',
      COUNTERSIGN_CLAIMS_URL: 'https://user:cl4ims-password@claims.example',
      COUNTERSIGN_CLAIMS_TOKEN: 'm1stake',
    };
    const problems = findProblems(secrets, 'issuer');
    assert.ok(problems.length >= 5, problems.join('\n'));
    assert.doesNotMatch(problems.join('\n'), /adm1n|m3trics|cl1ent|cl4ims|r3dis|w3bhook|m1stake/);

    const good = {
      ...ISSUER,
      COUNTERSIGN_ADMIN_TOKEN: 'adm1n-t0ken-of-32-characters-000',
      COUNTERSIGN_BOT_WEBHOOK_SECRET: WEBHOOK['COUNTERSIGN_BOT_WEBHOOK_SECRET'],
      COUNTERSIGN_REDIS_URL: 'redis://:r3dis-password@10.0.0.1:6379/2',
      COUNTERSIGN_PRIVATE_KEY_FILE: createFile('private.pem', 'pr1vate-key'),
    };
    const config = loadConfig(good, 'issuer');
    for (const text of [
      inspect(config, { depth: 9, showHidden: true }),
      JSON.stringify(config),
      String(config.clientSecret),
    ]) {
      assert.doesNotMatch(text, /adm1n|a-cl1ent-s3cret|r3dis|w3bhook|pr1vate-key/);
    }
    assert.ok(config.privateKey instanceof Secret && config.privateKey.reveal() === 'pr1vate-key');
    assert.equal(config.redisUrl?.reveal(), good.COUNTERSIGN_REDIS_URL);
  });

  it('reads the files that are named', () => {
    const env = {
      COUNTERSIGN_TLS_CERT_FILE: createFile('cert.pem', 'cert'),
      COUNTERSIGN_TLS_KEY_FILE: createFile('key.pem', 'key'),
      COUNTERSIGN_JWE_KEY_FILE: createFile('jwe.json', '{"kid":"k"}'),
      COUNTERSIGN_INTROSPECTION_KEYS_FILE: createFile('introspection.txt', 'introspection'),
      COUNTERSIGN_API_KEYS_FILE: createFile('api.txt', 'api'),
    };
    const { tls, jweKey, introspectionKeys, apiKeys } = loadConfig(env, 'start');
    assert.deepEqual(
      { tls, jweKey, introspectionKeys, apiKeys },
      {
        tls: { cert: 'cert', key: 'key' },
        jweKey: '{"kid":"k"}',
        introspectionKeys: 'introspection',
        apiKeys: 'api',
      },
    );
    for (const name of Object.keys(VARIABLES).filter(
      (variable) => variable.endsWith('_FILE') && variable !== 'COUNTERSIGN_CLAIMS_FILE',
    )) {
      const problems = findProblems({ [name]: folder }, 'start');
      assert.ok(problems.includes(`${name}: the file cannot be read (EISDIR)`), name);
    }
  });

  it('knows a loopback address', () => {
    const loopback = {
      '127.0.0.1': true,
      '127.1.2.3': true,
      localhost: true,
      '::1': true,
      '0.0.0.0': false,
      '::': false,
      '10.0.0.1': false,
      '128.0.0.1': false,
      'localhost.example': false,
      '127.999.1.1': false,
      '127.1': false,
    };
    for (const [host, isLoopback] of Object.entries(loopback)) {
      assert.equal(loadConfig({ COUNTERSIGN_HOST: host }, 'idproxy').isLoopback, isLoopback, host);
    }
  });

  it('picks Redis where its URL is set', () => {
    assert.equal(loadConfig({ COUNTERSIGN_REDIS_URL: 'rediss://redis.example' }, 'idproxy').store, 'redis');
    assert.equal(loadConfig({ COUNTERSIGN_STORE: 'embedded' }, 'idproxy').store, 'embedded');
  });

  it('answers real-time sessions by an echo on a laptop, elsewhere by what it is told', () => {
    assert.equal(loadConfig({}, 'start').bot, 'echo');
    assert.equal(loadConfig({}, 'idproxy').bot, 'none');
    assert.equal(loadConfig({ COUNTERSIGN_BOT: 'none' }, 'start').bot, 'none');
    assert.equal(loadConfig({ COUNTERSIGN_BOT: 'echo' }, 'idproxy').bot, 'echo');
    assert.equal(loadConfig({}, 'idproxy').botTimeoutMs, 10_000);
    assert.deepEqual(findProblems({ COUNTERSIGN_BOT: 'kore' }, 'idproxy'), [
      'COUNTERSIGN_BOT: must be one of none, echo, webhook, module',
    ]);
    for (const timeout of ['99', '60001', '1e3', '10s']) {
      assert.equal(findProblems({ COUNTERSIGN_BOT_TIMEOUT_MS: timeout }, 'idproxy').length, 1, timeout);
    }
  });

  it('posts to a bot in the clear on this machine alone', () => {
    const urls = {
      'https://bot.example/hook?key=1': 0,
      'http://127.0.0.1:5000/': 0,
      'http://localhost:5000': 0,
      'http://LOCALHOST/': 0,
      'http://[::1]:5000/': 0,
      'http://bot.example/': 1,
      'http://127.0.0.1.example/': 1,
      'http://localhost@bot.example/': 1,
      'http://10.0.0.1/': 1,
      'http://[::ffff:10.0.0.1]/': 1,
      'ftp://127.0.0.1/': 1,
      'https://user:password@bot.example/': 1,
      '127.0.0.1:5000': 1,
    };
    for (const [url, count] of Object.entries(urls)) {
      assert.equal(findProblems({ ...WEBHOOK, COUNTERSIGN_BOT_WEBHOOK_URL: url }, 'idproxy').length, count, url);
    }
  });

  it('takes no short, no patterned and no half base64 secret of a webhook', () => {
    const bytes = 'a b1t of random text; 32 bytes..';
    const secrets: Readonly<Record<string, string | undefined>> = {
      [bytes]: undefined,
      [bytes.slice(1)]: 'must have at least 32 bytes',
      [`€${bytes.slice(3)}`]: undefined,
      [`whsec_${Buffer.from(bytes).toString('base64')}`]: undefined,
      [`whsec_${Buffer.from(bytes.slice(1)).toString('base64')}`]: 'must have at least 32 bytes',
      [`whsec_${Buffer.from(bytes).toString('base64').slice(0, -1)}`]: 'must be base64 behind whsec_',
      [`whsec_${bytes}`]: 'must be base64 behind whsec_',
      [`whsec_${Buffer.alloc(64).toString('base64')}`]: 'must be random; it repeats a few characters',
      ['ab'.repeat(32)]: 'must be random; it repeats a few characters',
    };
    for (const [secret, problem] of Object.entries(secrets)) {
      const problems = findProblems({ ...WEBHOOK, COUNTERSIGN_BOT_WEBHOOK_SECRET: secret }, 'idproxy');
      assert.deepEqual(problems, problem ? [`COUNTERSIGN_BOT_WEBHOOK_SECRET: ${problem}`] : [], secret);
    }
  });

  it('takes no short and no patterned token', () => {
    const tokens = {
      'a-t0ken-of-32-characters-00000xy': 0,
      'a-t0ken-of-31-characters-0000xy': 1,
      ['a'.repeat(43)]: 1,
      ['abcab'.repeat(9)]: 1,
    };
    for (const name of ['COUNTERSIGN_ADMIN_TOKEN', 'COUNTERSIGN_METRICS_TOKEN']) {
      for (const [token, count] of Object.entries(tokens)) {
        assert.equal(findProblems({ [name]: token }, 'idproxy').length, count, `${name} ${token}`);
      }
    }
  });
});

/** For each rule, by the beginning of what it says: where it is broken, and what mends it. */
const BROKEN: Readonly<Record<string, { env: Env; mend: Env; programs: readonly Program[] }>> = {
  'COUNTERSIGN_REDIS_URL: is needed by': {
    env: { COUNTERSIGN_STORE: 'redis' },
    mend: { COUNTERSIGN_REDIS_URL: 'redis://127.0.0.1' },
    programs: PROGRAMS,
  },
  'COUNTERSIGN_STORE=embedded and': {
    env: { COUNTERSIGN_STORE: 'embedded', COUNTERSIGN_REDIS_URL: 'redis://127.0.0.1' },
    mend: { COUNTERSIGN_STORE: 'redis' },
    programs: PROGRAMS,
  },
  'COUNTERSIGN_SHARED_LIMITS: needs': {
    env: { COUNTERSIGN_SHARED_LIMITS: 'true' },
    mend: { COUNTERSIGN_REDIS_URL: 'redis://127.0.0.1' },
    programs: ['start', 'idproxy'],
  },
  'COUNTERSIGN_CLIENT_ID: is needed by COUNTERSIGN_CLIENT_SECRET': {
    env: { COUNTERSIGN_CLIENT_ID: undefined, COUNTERSIGN_CLIENT_SECRET: 'secret' },
    mend: { COUNTERSIGN_CLIENT_ID: 'cs-1' },
    programs: ['start'],
  },
  'COUNTERSIGN_TLS_CERT_FILE and': {
    env: { COUNTERSIGN_TLS_KEY_FILE: FILE },
    mend: { COUNTERSIGN_TLS_CERT_FILE: FILE },
    programs: ['start', 'issuer', 'idproxy', 'gateway'],
  },
  'COUNTERSIGN_BOT_WEBHOOK_URL and COUNTERSIGN_BOT_WEBHOOK_SECRET': {
    env: { ...WEBHOOK, COUNTERSIGN_BOT_WEBHOOK_SECRET: undefined },
    mend: WEBHOOK,
    programs: ['start', 'idproxy'],
  },
  'COUNTERSIGN_BOT_WEBHOOK_URL: must be https': {
    env: { ...WEBHOOK, COUNTERSIGN_BOT_WEBHOOK_URL: 'http://bot.example/' },
    mend: WEBHOOK,
    programs: ['start', 'idproxy'],
  },
  'COUNTERSIGN_BOT_MODULE: is needed': {
    env: { COUNTERSIGN_BOT: 'module' },
    mend: { COUNTERSIGN_BOT_MODULE: 'bot.mjs' },
    programs: ['start', 'idproxy'],
  },
  'COUNTERSIGN_BOT: must be webhook': {
    env: { COUNTERSIGN_BOT_MODULE: 'bot.mjs' },
    mend: { COUNTERSIGN_BOT: 'module' },
    programs: ['start', 'idproxy'],
  },
  'COUNTERSIGN_CLIENT_ID: is needed by the issuer': {
    env: { COUNTERSIGN_CLIENT_ID: undefined },
    mend: { COUNTERSIGN_CLIENT_ID: 'cs-1', COUNTERSIGN_CLIENT_SECRET: 'secret' },
    programs: ['issuer'],
  },
  'COUNTERSIGN_CLIENT_SECRET: is needed': {
    env: { COUNTERSIGN_CLIENT_ID: 'cs-1', COUNTERSIGN_ALGORITHM: 'HS512', COUNTERSIGN_CLIENT_SECRET: undefined },
    mend: { COUNTERSIGN_CLIENT_SECRET: 'secret' },
    programs: ['start', 'issuer'],
  },
  'COUNTERSIGN_PRIVATE_KEY_FILE: is needed': {
    env: { COUNTERSIGN_CLIENT_ID: 'cs-1', COUNTERSIGN_ALGORITHM: 'RS512' },
    mend: { COUNTERSIGN_PRIVATE_KEY_FILE: FILE },
    programs: ['start', 'issuer'],
  },
  'COUNTERSIGN_AUDIENCE: must name': {
    env: { COUNTERSIGN_AUDIENCE: ' , ' },
    mend: { COUNTERSIGN_AUDIENCE: 'a' },
    programs: ['start', 'issuer'],
  },
  'COUNTERSIGN_CALLER_AUTH: must be set; an issuer': {
    env: { COUNTERSIGN_CALLER_AUTH: undefined },
    mend: { COUNTERSIGN_CALLER_AUTH: 'open' },
    programs: ['issuer'],
  },
  'COUNTERSIGN_CALLER_AUTH: must be set where': {
    env: { COUNTERSIGN_HOST: '0.0.0.0' },
    mend: { COUNTERSIGN_HOST: '127.0.0.1' },
    programs: ['start'],
  },
  'COUNTERSIGN_CALLER_AUTH=open: lets anyone': {
    env: { COUNTERSIGN_HOST: '0.0.0.0', COUNTERSIGN_CALLER_AUTH: 'open' },
    mend: { COUNTERSIGN_ALLOW_OPEN_ISSUER_ON_NETWORK: 'true' },
    programs: ['start', 'issuer'],
  },
  'COUNTERSIGN_API_KEYS_FILE: is needed': {
    env: { COUNTERSIGN_CALLER_AUTH: 'api-key', COUNTERSIGN_API_KEYS_FILE: undefined },
    mend: { COUNTERSIGN_API_KEYS_FILE: FILE },
    programs: ['start', 'issuer'],
  },
  'COUNTERSIGN_FORWARD_AUTH_URL: is needed': {
    env: { COUNTERSIGN_CALLER_AUTH: 'forward-auth' },
    mend: { COUNTERSIGN_FORWARD_AUTH_URL: 'http://127.0.0.1/me' },
    programs: ['start', 'issuer'],
  },
  'COUNTERSIGN_OIDC_ISSUER, COUNTERSIGN_OIDC_AUDIENCE': {
    env: {
      COUNTERSIGN_CALLER_AUTH: 'oidc',
      COUNTERSIGN_OIDC_ISSUER: 'https://i.example',
      COUNTERSIGN_OIDC_AUDIENCE: 'a',
    },
    mend: { COUNTERSIGN_OIDC_JWKS_URL: 'https://i.example/jwks' },
    programs: ['start', 'issuer'],
  },
  'COUNTERSIGN_CLAIMS_FILE and COUNTERSIGN_CLAIMS_URL': {
    env: { COUNTERSIGN_CLAIMS_FILE: FILE, COUNTERSIGN_CLAIMS_URL: 'http://127.0.0.1', COUNTERSIGN_JWE_KEY_FILE: FILE },
    mend: { COUNTERSIGN_CLAIMS_URL: undefined },
    programs: ['start', 'issuer'],
  },
  'COUNTERSIGN_JWE_KEY_FILE: is needed': {
    env: { COUNTERSIGN_CLAIMS_FILE: FILE },
    mend: { COUNTERSIGN_JWE_KEY_FILE: FILE },
    programs: ['start', 'issuer'],
  },
  'COUNTERSIGN_WEBHOOK_TARGETS: must be': {
    env: { ...TARGETS, COUNTERSIGN_WEBHOOK_TARGETS: 'crm=http://crm.example/hooks' },
    mend: { COUNTERSIGN_WEBHOOK_TARGETS: 'crm=https://crm.example/hooks' },
    programs: ['gateway'],
  },
  'COUNTERSIGN_WEBHOOK_SECRET: is needed by': {
    env: { ...TARGETS, COUNTERSIGN_WEBHOOK_SECRET: undefined },
    mend: TARGETS,
    programs: ['gateway'],
  },
};

describe('the rules between settings', () => {
  for (const [beginning, { env, mend, programs }] of Object.entries(BROKEN)) {
    it(`hold: ${beginning}`, () => {
      for (const program of PROGRAMS) {
        const problems = findProblems(env, program).filter((problem) => problem.startsWith(beginning));
        assert.equal(problems.length, programs.includes(program) ? 1 : 0, program);
        assert.deepEqual(findProblems({ ...env, ...mend }, program), [], `${program}, mended`);
      }
    });
  }

  it('are all tried here', () => {
    const beginnings = Object.keys(BROKEN);
    assert.equal(RULES.length, beginnings.length);
    for (const { problem } of RULES)
      assert.ok(
        beginnings.some((beginning) => problem.startsWith(beginning)),
        problem,
      );
  });
});

interface Field {
  readonly variable: keyof typeof VARIABLES;
  readonly setting: keyof Config;
  /** Text and what becomes of it. */
  readonly good: readonly (readonly [string, unknown])[];
  readonly bad: readonly string[];
}

const FIELDS: readonly Field[] = [
  {
    variable: 'COUNTERSIGN_ISSUER_PORT',
    setting: 'issuerPort',
    good: [
      ['0', 0],
      ['65535', 65_535],
    ],
    bad: ['-1', '65536', '3e3', '0x10', '3000 ', '1.5', 'NaN', '9'.repeat(400)],
  },
  {
    variable: 'COUNTERSIGN_TOKEN_LIFETIME_SECONDS',
    setting: 'tokenLifetimeSeconds',
    good: [
      ['1', 1],
      ['3600', 3_600],
    ],
    bad: ['0', '3601', 'Infinity'],
  },
  {
    variable: 'COUNTERSIGN_KORE_CLAIMS',
    setting: 'koreClaims',
    good: [
      ['true', true],
      ['false', false],
    ],
    bad: ['TRUE', '1', '0', 'yes', ' true'],
  },
  {
    variable: 'COUNTERSIGN_ALGORITHM',
    setting: 'algorithm',
    good: [
      ['HS256', 'HS256'],
      ['HS512', 'HS512'],
    ],
    bad: ['none', 'hs256', 'ES256', 'toString'],
  },
  { variable: 'COUNTERSIGN_LOG_LEVEL', setting: 'logLevel', good: [['silent', 'silent']], bad: ['loud', 'INFO'] },
  { variable: 'COUNTERSIGN_STORE', setting: 'store', good: [['embedded', 'embedded']], bad: ['memory', 'sqlite'] },
  {
    variable: 'COUNTERSIGN_CONNECTOR_GATEWAY_URLS',
    setting: 'connectorGatewayUrls',
    good: [['https://a.example:8443, https://b.example', ['https://a.example:8443', 'https://b.example']]],
    bad: [],
  },
  {
    variable: 'COUNTERSIGN_AUDIENCE',
    setting: 'audience',
    good: [
      ['a', ['a']],
      [' https://a.example , b,', ['https://a.example', 'b']],
    ],
    bad: [],
  },
  {
    variable: 'COUNTERSIGN_CORS_ORIGINS',
    setting: 'corsOrigins',
    good: [['https://a.example, http://b.example:8080', ['https://a.example', 'http://b.example:8080']]],
    bad: [
      '*',
      'null',
      'a.example',
      'https://a.example/',
      'https://a.example/path',
      'https://*.example',
      'https://a.example:443',
      'https://a.example;https://b.example',
    ],
  },
  {
    variable: 'COUNTERSIGN_TRUST_PROXY',
    setting: 'trustProxy',
    good: [
      ['false', false],
      ['0', 0],
      ['2', 2],
      ['loopback, 10.0.0.0/8,::1', ['loopback', '10.0.0.0/8', '::1']],
      ['2001:db8::/32', ['2001:db8::/32']],
    ],
    bad: [
      'true',
      '-1',
      '1.5',
      '100',
      'proxy.example',
      'cafe',
      '10.0.0.0/33',
      '::/129',
      '10.0.0.1/8/8',
      '10.0.0.1/',
      '10.0.0.256',
      'loopback/8',
      '127.0.0.1,',
    ],
  },
  {
    variable: 'COUNTERSIGN_PUBLIC_URL',
    setting: 'publicUrl',
    good: [
      ['https://id.example/', 'https://id.example'],
      ['http://127.0.0.1:4000/base', 'http://127.0.0.1:4000/base'],
    ],
    bad: [
      'id.example',
      'ftp://id.example',
      'https://a:b@id.example',
      'https://id.example#x',
      'https://id.example/#',
      'javascript:alert(1)',
      '/',
    ],
  },
  {
    variable: 'COUNTERSIGN_OIDC_ISSUER',
    setting: 'oidcIssuer',
    good: [
      ['https://tenant.example/', 'https://tenant.example/'],
      ['https://tenant.example', 'https://tenant.example'],
    ],
    bad: ['tenant', 'https://u@tenant.example'],
  },
  {
    variable: 'COUNTERSIGN_FORWARD_AUTH_URL',
    setting: 'forwardAuthUrl',
    good: [['http://127.0.0.1:8080/me/?a=b', 'http://127.0.0.1:8080/me/?a=b']],
    bad: ['unix:/socket', 'http://u:p@a.example'],
  },
  {
    variable: 'COUNTERSIGN_FORWARD_AUTH_IDENTITY',
    setting: 'forwardAuthIdentity',
    good: [
      ['json:user_id', 'json:user_id'],
      ['header:X-User', 'header:X-User'],
    ],
    bad: ['user', 'json:', 'json:a.b', 'cookie:a', `header:${'x'.repeat(65)}`, 'header:a b'],
  },
  {
    variable: 'COUNTERSIGN_CLAIMS_NAME',
    setting: 'claimsName',
    good: [['secureCustomData', 'secureCustomData']],
    bad: ['sub', 'customData'],
  },
  { variable: 'COUNTERSIGN_ADMIN_TOKEN', setting: 'adminToken', good: [], bad: ['x'.repeat(21)] },
  {
    variable: 'COUNTERSIGN_JWE_ALG',
    setting: 'jweAlg',
    good: [
      ['RSA-OAEP', 'RSA-OAEP'],
      ['RSA1_5', 'RSA1_5'],
    ],
    bad: ['rsa1_5', 'RSA-OAEP-256', 'dir'],
  },
  { variable: 'COUNTERSIGN_JWE_ENC', setting: 'jweEnc', good: [['A128CBC-HS256', 'A128CBC-HS256']], bad: ['A192GCM'] },
];

describe('the variables', () => {
  for (const { variable, setting, good, bad } of FIELDS) {
    it(`are taken or refused by their form: ${variable}`, () => {
      for (const [text, value] of good)
        assert.deepEqual(loadConfig({ [variable]: text }, 'idproxy')[setting], value, text);
      for (const text of bad) {
        const problems = findProblems({ [variable]: text }, 'idproxy');
        assert.equal(problems.length, 1, `${text}: ${problems.join('; ')}`);
        assert.ok(problems[0]?.startsWith(`${variable}: must `), problems[0]);
      }
    });
  }

  it('are all described, in a sentence', () => {
    for (const [name, schema] of Object.entries(VARIABLES))
      assert.match(schema.description ?? '', /^[A-Z`].*\.$/, name);
  });
});
