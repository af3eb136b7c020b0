import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { startChild, waitUntilReady, type Child } from '../support/child.ts';
import {
  checkDockerfile,
  findLast,
  parseEnvironment,
  parseExecForm,
  parseHealthcheck,
  parseStages,
} from '../support/dockerfile.ts';
import { buildStage, listContextFiles } from '../support/image-build.ts';
import { createTempFolder, getFreePort } from '../support/processes.ts';

const source = await readFile('Dockerfile', 'utf8');
const stages = parseStages(source);
const runtime = stages.at(-1);
assert.ok(runtime, 'the Dockerfile has a stage');

const GOOD = `FROM node:20.1.0-slim AS run
ENV A=1
USER node
HEALTHCHECK --interval=1s \\
  CMD ["true"]
ENTRYPOINT ["node"]
CMD ["a"]
`;

/** What the rules say about a good file with one thing changed. */
const OFFENCES: Readonly<Record<string, readonly [from: string, to: string, complaint: string]>> = {
  'a moving tag': ['node:20.1.0-slim', 'node:20-slim', 'node:20-slim: not pinned to a version'],
  'no tag': ['node:20.1.0-slim', 'node', 'node: not pinned to a version'],
  'no user': ['USER node\n', '', 'runs as root'],
  'root by number': ['USER node', 'USER 0:0', 'runs as root'],
  'the user too late': ['USER node\n', 'ENTRYPOINT ["x"]\nENTRYPOINT ["y"]\n', 'runs as root'],
  'a secret': ['A=1', 'B=1 ADMIN_TOKEN=abc', 'ENV ADMIN_TOKEN: a secret in the image'],
  'a secret argument': ['ENV A=1', 'ARG PRIVATE_KEY', 'ARG PRIVATE_KEY: a secret in the image'],
  'a download': ['ENV A=1', 'ADD https://example.org/a /a', 'ADD https://example.org/a /a: COPY is enough'],
  'a shell in between': ['["node"]', 'node main.js', 'ENTRYPOINT: no exec form'],
  'no health check': ['HEALTHCHECK', 'LABEL', 'no HEALTHCHECK in exec form'],
};

describe('the Dockerfile', () => {
  it('keeps the rules', () => {
    assert.deepEqual(checkDockerfile(source), []);
  });

  it('is checked by rules that let a good file pass', () => {
    assert.deepEqual(checkDockerfile(GOOD), []);
  });

  for (const [name, [from, to, complaint]] of Object.entries(OFFENCES)) {
    it(`is checked by rules that refuse ${name}`, () => {
      assert.ok(GOOD.includes(from));
      assert.deepEqual(checkDockerfile(GOOD.replace(from, to)), [complaint]);
    });
  }

  it('makes the folders that it names, for the user it runs as', () => {
    const {
      COUNTERSIGN_DATA_DIR: data,
      COUNTERSIGN_KEYS_DIR: keys,
      COUNTERSIGN_HOST: host,
    } = parseEnvironment(runtime);
    assert.deepEqual(
      { data, keys, host },
      { data: '/var/lib/countersign', keys: '/etc/countersign/keys', host: '0.0.0.0' },
    );
    const user = findLast(runtime, 'USER')?.text;
    assert.equal(findLast(runtime, 'RUN')?.text, `install -d -o ${user} -g ${user} -m 0700 ${data} ${keys}`);
    assert.deepEqual(parseExecForm(findLast(runtime, 'VOLUME')?.text ?? ''), [data, keys]);
    assert.equal(findLast(runtime, 'EXPOSE')?.text, '3000 4000 8081 8443');
  });

  it('copies nothing that .dockerignore keeps out, and .dockerignore lets nothing else in', async () => {
    const lines = (await readFile('.dockerignore', 'utf8')).split('\n').filter((line) => /^[^#]/.test(line));
    const copied = stages.flatMap(({ instructions }) =>
      instructions
        .filter(({ keyword, flags }) => keyword === 'COPY' && flags['from'] === undefined)
        .flatMap(({ text }) => text.split(/\s+/).slice(0, -1)),
    );
    assert.equal(lines[0], '*');
    assert.deepEqual(new Set(lines.slice(1)), new Set(copied.map((path) => `!${path}`)));
  });
});

describe('what the Dockerfile builds', () => {
  let folder: string;
  let image: { root: string; workdir: string };
  let server: Child | undefined;

  before(async () => {
    folder = await createTempFolder();
    const contextFiles = await listContextFiles();
    // The packages that were just installed are in npm's cache: no need to ask for them again.
    const environment = { ...process.env, npm_config_prefer_offline: 'true' };
    const isOfImage = (command: string): boolean => /^install .*-o node/.test(command);
    const build = { folder, contextFiles, environment, skipRun: isOfImage };
    const roots: { root: string; workdir: string }[] = [];
    for (const stage of stages) roots.push(await buildStage(stage, build));
    image = roots.at(-1) ?? assert.fail('no stage was built');
  });

  after(async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('holds the compiled program and the packages it needs, no sources and no tools', () => {
    const there = (path: string): boolean => existsSync(join(image.root, image.workdir, path));
    assert.deepEqual(['dist/main.js', 'node_modules/express', 'package.json'].filter(there), [
      'dist/main.js',
      'node_modules/express',
      'package.json',
    ]);
    const unwanted = ['src', 'scripts', 'test', 'keys', '.npmrc', 'node_modules/typescript', 'node_modules/oxlint'];
    assert.deepEqual(unwanted.filter(there), []);
  });

  it('starts as it is and is healthy by its own health check, and unhealthy before and after', async () => {
    const cwd = join(image.root, image.workdir);
    const env = {
      ...parseEnvironment(runtime),
      COUNTERSIGN_HOST: '127.0.0.1',
      COUNTERSIGN_IDPROXY_PORT: String(await getFreePort()),
      COUNTERSIGN_DATA_DIR: join(folder, 'data'),
      COUNTERSIGN_KEYS_DIR: join(folder, 'keys'),
    };
    const [checkCommand = '', ...checkArgs] = parseHealthcheck(runtime) ?? [];
    const isHealthy = async (): Promise<boolean> => {
      const check = await startChild({ command: checkCommand, args: checkArgs, cwd, env });
      return (await check.exited).code === 0;
    };
    const [command = '', ...entryArgs] = parseExecForm(findLast(runtime, 'ENTRYPOINT')?.text ?? '') ?? [];
    const args = [...entryArgs, ...(parseExecForm(findLast(runtime, 'CMD')?.text ?? '') ?? [])];

    assert.equal(await isHealthy(), false);
    server = await startChild({ command, args, cwd, env });
    await waitUntilReady(server, isHealthy, 30_000);
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    assert.equal(await isHealthy(), false);
  });
});

interface Service {
  readonly [name: string]: unknown;
  readonly environment?: Readonly<Record<string, string>>;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly networks: Readonly<Record<string, unknown>>;
}

describe('compose.yaml', async () => {
  const text = await readFile('compose.yaml', 'utf8');
  const { services, volumes, networks } = parse(text, { merge: true }) as Compose;
  const proxies = ['idproxy-a', 'idproxy-b'].map((name) => services[name] ?? assert.fail(`no ${name}`));

  it('runs two idproxies on loopback ports of the host', () => {
    assert.deepEqual(
      proxies.map(({ ports }) => ports),
      [['127.0.0.1:4000:4000'], ['127.0.0.1:4001:4000']],
    );
    for (const { command } of proxies) assert.deepEqual(command, ['idproxy']);
  });

  it('gives both the same keys, the same Redis and an admin token that must be set', () => {
    for (const { volumes: mounted, environment, depends_on: dependsOn } of proxies) {
      assert.deepEqual(mounted, ['keys:/etc/countersign/keys']);
      assert.equal(environment?.['COUNTERSIGN_REDIS_URL'], 'redis://redis:6379');
      assert.match(environment?.['COUNTERSIGN_ADMIN_TOKEN'] ?? '', /^\$\{COUNTERSIGN_ADMIN_TOKEN:\?.+\}$/);
      assert.deepEqual(dependsOn, { redis: { condition: 'service_healthy' } });
    }
  });

  it('runs a Redis that writes before it answers, evicts nothing, and is not reached from outside', () => {
    const redis = services['redis'] ?? assert.fail('no redis');
    const words = (redis['command'] as string[]).join(' ');
    for (const setting of ['--appendonly yes', '--appendfsync always', '--maxmemory-policy noeviction']) {
      assert.ok(words.includes(setting), setting);
    }
    assert.match(String(redis['image']), /^redis:\d+\.\d+\.\d+/);
    assert.equal(redis['ports'], undefined);
    assert.deepEqual(networks['inside'], { internal: true });
    assert.deepEqual(redis['networks'], ['inside']);
    assert.deepEqual((redis['healthcheck'] as { test: unknown }).test, ['CMD', 'redis-cli', 'ping']);
  });

  it('hardens every service, and knows every volume and network it names', () => {
    for (const [name, service] of Object.entries(services)) {
      assert.equal(service['read_only'], true, name);
      assert.deepEqual(service['cap_drop'], ['ALL'], name);
      assert.deepEqual(service['security_opt'], ['no-new-privileges:true'], name);
      for (const mount of service['volumes'] as string[]) {
        const [source = ''] = mount.split(':');
        assert.ok(source in volumes || (source.startsWith('./') && mount.endsWith(':ro')), mount);
      }
      for (const network of service['networks'] as string[]) assert.ok(network in networks, network);
    }
  });

  it('holds no secret', () => {
    for (const [name, { environment = {} }] of Object.entries(services)) {
      const secrets = Object.entries(environment).filter(([key]) => /TOKEN|SECRET|PASSWORD/.test(key));
      for (const [key, value] of secrets) assert.match(value, /^\$\{/, `${name}: ${key}`);
    }
  });
});
