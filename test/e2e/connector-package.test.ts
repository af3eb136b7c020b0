import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, copyFile, cp, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { transform } from 'esbuild';

import { createTempFolder, getFreePort } from '../support/processes.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/package-connector.js', import.meta.url));
const MAX_PACKED_BYTES = 10_000_000;
const MAX_UNPACKED_BYTES = 20_000_000;
const CONNECTOR_ID = 'cn-5d5c2b7c-6a0e-4f2d-9a55-4dc0f1b3f6aa';
/** What `rc.local` has: no HOME, no terminal, and little PATH. */
const POOR = { PATH: '/sbin:/bin:/usr/sbin:/usr/bin' };

/** The file that the documentation of the original shows. */
const DEFAULT_CONFIG = `{
   "credentials":{
      "key":"./credentials/Kore.aiConnector.key",
      "cert":"./credentials/Kore.aiConnectorCert.pem",
      "ca":"./credentials/ca.crt"
   },
   "logger":{
      "applogs":{
         "path":"./logs",
         "level":"info"
      },
      "auditlogs":{
         "path":"./audits",
         "level":"info"
      }
   },
   "cluster":{
      "enabled":true,
      "workers":2
   }
}
`;

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Surroundings {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end. Nothing of this environment is inherited. */
function run(
  command: string,
  args: readonly string[],
  { cwd = '/', env = { ...POOR, KORE_CONNECTOR_NODE: process.execPath } }: Surroundings = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, env, maxBuffer: 16_000_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

let folder = '';
/** The archives, by their names. */
const archives = new Map<string, Buffer>();
let version = '';

async function pack(out: string, ...args: string[]): Promise<Map<string, Buffer>> {
  const packed = await run(process.execPath, [SCRIPT, '--out', out, ...args]);
  assert.equal(packed.code, 0, packed.stderr);
  const names = await readdir(out);
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(out, name))] as const)));
}

/** A fresh installation, as an administrator would unpack it. */
async function install(t: TestContext, name = 'kore-connector'): Promise<string> {
  const place = await createTempFolder();
  const archive = join(folder, 'first', `kore-connector-${version}.tar.gz`);
  const unpacked = await run('tar', ['-xvf', archive], { cwd: place });
  assert.equal(unpacked.code, 0, unpacked.stderr);
  const home = join(place, name);
  if (name !== 'kore-connector') await rename(join(place, 'kore-connector'), home);
  t.after(async () => {
    await run(join(home, 'koreconnector.sh'), ['stop']);
    await rm(place, { recursive: true, force: true });
  });
  return home;
}

/** Certificates as `openssl` makes them, once for all installations. */
async function makeCredentials(to: string): Promise<void> {
  await mkdir(to);
  const openssl = async (...args: string[]): Promise<void> => {
    const made = await run('openssl', args, { cwd: to });
    assert.equal(made.code, 0, made.stderr);
  };
  const names = `subjectAltName=URI:urn:countersign:connector:${CONNECTOR_ID}\nextendedKeyUsage=clientAuth\n`;
  await writeFile(join(to, 'extensions'), names);
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await openssl('req', '-x509', ...ec, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '90', '-subj', '/CN=Test CA');
  const [key, csr, cert] = ['Kore.aiConnector.key', 'Kore.aiConnector.csr', 'Kore.aiConnectorCert.pem'];
  await openssl('req', '-new', ...ec, '-keyout', key, '-out', csr, '-subj', `/CN=${CONNECTOR_ID}`);
  const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '90', '-extfile', 'extensions'];
  await openssl('x509', '-req', '-in', csr, ...signing, '-out', cert);
}

/** An installation with credentials, whose gateway is not there. */
async function installReady(t: TestContext, name?: string): Promise<string> {
  const home = await install(t, name);
  for (const file of ['Kore.aiConnector.key', 'Kore.aiConnectorCert.pem', 'ca.crt']) {
    await copyFile(join(folder, 'credentials', file), join(home, 'credentials', file));
  }
  const urls = [`https://127.0.0.1:${await getFreePort()}`];
  await writeFile(join(home, 'config', 'gateway.json'), JSON.stringify({ id: CONNECTOR_ID, urls }));
  return home;
}

/** A Node.js that says it is of another version. */
async function makeNode(t: TestContext, claimed: string): Promise<string> {
  const place = await createTempFolder();
  t.after(() => rm(place, { recursive: true, force: true }));
  const node = join(place, 'node');
  const claims = `
    Object.defineProperty(process, 'version', { value: 'v${claimed}' });
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${claimed}' } });
    Object.defineProperty(process, 'execPath', { value: '${node}' });
  `;
  await writeFile(join(place, 'claims.cjs'), claims);
  await writeFile(node, `#!/bin/sh\nexec '${process.execPath}' --require '${join(place, 'claims.cjs')}' "$@"\n`);
  await chmod(node, 0o755);
  return node;
}

const toPid = (text: string): number => Number(/pid (\d+)/.exec(text)?.[1]);

before(async () => {
  folder = await createTempFolder();
  await makeCredentials(join(folder, 'credentials'));
  for (const [name, bytes] of await pack(join(folder, 'first'))) archives.set(name, bytes);
  version = /-(\d.*)\.zip$/.exec([...archives.keys()].join('\n'))?.[1] ?? '';
});
after(() => rm(folder, { recursive: true, force: true }));

describe('the packages of the connector', () => {
  it('are two, and small', async () => {
    const own = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    assert.equal(version, own.version);
    assert.deepEqual([...archives.keys()].sort(), [
      `kore-connector-${version}.tar.gz`,
      `kore-connector-${version}.zip`,
    ]);
    for (const [name, { length }] of archives) assert.ok(length <= MAX_PACKED_BYTES, `${name}: ${length} bytes`);
  });

  it('are the same when they are made again', async () => {
    const toHashes = (made: ReadonlyMap<string, Buffer>): string[] =>
      [...made].map(([name, bytes]) => `${name} ${createHash('sha256').update(bytes).digest('hex')}`);
    assert.deepEqual(toHashes(await pack(join(folder, 'again'))), toHashes(archives));
  });

  it('may have another name', async () => {
    const names = [...(await pack(join(folder, 'named'), '--name', 'acme-connector')).keys()];
    assert.deepEqual(names.sort(), [`acme-connector-${version}.tar.gz`, `acme-connector-${version}.zip`]);
  });

  it('hold the same, and little of it', async (t) => {
    const home = await install(t);
    const unzipped = join(folder, 'unzipped');
    await mkdir(unzipped);
    const { code, stderr } = await run('unzip', ['-q', join(folder, 'first', `kore-connector-${version}.zip`)], {
      cwd: unzipped,
    });
    assert.equal(code, 0, stderr);
    const { stdout } = await run('diff', ['-r', home, join(unzipped, 'kore-connector')]);
    assert.equal(stdout, '');
    const { stdout: used } = await run('du', ['-sb', home]);
    assert.ok(Number.parseInt(used) <= MAX_UNPACKED_BYTES, used);
  });

  it('hold what the documentation names', async (t) => {
    const home = await install(t);
    const names =
      'LICENSE NOTICES.txt README.txt VERSION audits config credentials kore-connector.service ' +
      'koreconnector.cmd koreconnector.sh lib logs register-task.ps1 run spool';
    assert.deepEqual((await readdir(home)).sort(), names.split(' '));
    assert.equal(await readFile(join(home, 'config', 'connectorconfig.json'), 'utf8'), DEFAULT_CONFIG);
    assert.equal(await readFile(join(home, 'config', 'configs', 'accesscontrol.json'), 'utf8'), '[]\n');
    assert.equal((await stat(join(home, 'koreconnector.sh'))).mode & 0o777, 0o755);
    for (const name of ['credentials', 'spool']) {
      assert.equal((await stat(join(home, name))).mode & 0o777, 0o700, name);
    }
  });

  it('need nothing but Node.js, and name the licence of all that is bundled', async (t) => {
    const home = await install(t);
    const agent = await readFile(join(home, 'lib', 'agent.js'), 'utf8');
    const needed = [...agent.matchAll(/\brequire\("([^"]+)"\)/g)].map(([, name = '']) => name);
    assert.ok(needed.includes('node:tls') || needed.includes('tls'));
    assert.deepEqual(
      needed.filter((name) => !isBuiltin(name)),
      [],
    );
    const bundled = [...agent.matchAll(/^\/\/ node_modules\/((?:@[^/\n]+\/)?[^/\n]+)\//gm)].map(
      ([, name = '']) => name,
    );
    const notices = await readFile(join(home, 'NOTICES.txt'), 'utf8');
    for (const name of new Set(bundled)) assert.ok(notices.includes(`${name} `), name);
    for (const name of ['express', 'ioredis', '@photostructure/sqlite']) assert.ok(!bundled.includes(name), name);
  });

  it('have the example of an access control that is valid', async (t) => {
    const home = await installReady(t);
    const configs = join(home, 'config', 'configs');
    await copyFile(join(configs, 'accesscontrol.example.json'), join(configs, 'accesscontrol.json'));
    const checked = await run(join(home, 'koreconnector.sh'), ['check']);
    assert.equal(checked.code, 0, checked.stderr);
    assert.match(checked.stdout, /^OK: 2 applications/);
  });
});

/** How a shell comes to the script. */
const SHELLS: Readonly<Record<string, (home: string) => readonly [string, ...string[]]>> = {
  'sh, as the system starts it': (home) => ['/bin/sh', '-c', `cd ${home} ; ./koreconnector.sh "$0"`],
  dash: (home) => ['/bin/dash', join(home, 'koreconnector.sh')],
  bash: (home) => ['/bin/bash', '--posix', join(home, 'koreconnector.sh')],
  'a link to it': (home) => [join(home, '..', 'link')],
};

describe('koreconnector.sh', () => {
  for (const [name, toCommand] of Object.entries(SHELLS)) {
    it(`starts, shows and stops the agent by ${name}`, async (t) => {
      const home = await installReady(t);
      await symlink('kore-connector/koreconnector.sh', join(home, '..', 'link'));
      const [command, ...args] = toCommand(home);
      const say = (word: string): Promise<Ran> => run(command, [...args, word]);

      assert.deepEqual(await say('status'), { code: 3, stdout: 'kore-connector is not running\n', stderr: '' });
      const started = await say('start');
      assert.deepEqual([started.code, started.stderr], [0, '']);
      const pid = toPid(started.stdout);
      assert.equal(started.stdout, `kore-connector started (pid ${pid})\n`);
      assert.equal((await say('start')).stdout, `kore-connector runs already (pid ${pid})\n`);
      const status = await say('status');
      assert.equal(status.code, 0, status.stderr);
      assert.match(status.stdout, new RegExp(`^kore-connector is running \\(pid ${pid}\\)\\n.*${CONNECTOR_ID}`));
      // In a session of its own: the terminal that started it may go.
      assert.equal((await run('ps', ['-o', 'sid=', '-p', String(pid)])).stdout.trim(), String(pid));
      assert.deepEqual(await say('stop'), { code: 0, stdout: 'kore-connector stopped\n', stderr: '' });
      assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
      assert.equal((await say('status')).code, 3);
    });
  }

  it('works in a folder whose name has blanks', async (t) => {
    const home = await installReady(t, 'Kore connector (1)');
    assert.equal((await run(join(home, 'koreconnector.sh'), ['start'])).code, 0);
    assert.equal((await run(join(home, 'koreconnector.sh'), ['stop'])).stdout, 'kore-connector stopped\n');
  });

  it('works below a folder whose package is of another type', async (t) => {
    const home = await installReady(t);
    await writeFile(join(home, 'package.json'), '{"type":"module"}');
    assert.deepEqual(await run(join(home, 'koreconnector.sh'), ['version']), {
      code: 0,
      stdout: `${version}\n`,
      stderr: '',
    });
  });

  it('says why the agent did not start: every fault of the configuration', async (t) => {
    const home = await install(t);
    const { code, stdout, stderr } = await run(join(home, 'koreconnector.sh'), ['start']);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^kore-connector did not start:\n/);
    for (const fault of ['gateway', 'credentials.key', 'credentials.cert', 'credentials.ca']) {
      assert.ok(stderr.includes(`"${fault}"`), stderr);
    }
    assert.equal((await run(join(home, 'koreconnector.sh'), ['status'])).code, 3);
  });

  it('starts one agent where two are started at once', async (t) => {
    const home = await installReady(t);
    const starts = await Promise.all([1, 2, 3].map(() => run(join(home, 'koreconnector.sh'), ['start'])));
    const pids = new Set(starts.map(({ stdout }) => toPid(stdout)));
    assert.deepEqual(
      starts.map(({ code }) => code),
      [0, 0, 0],
    );
    assert.equal(pids.size, 1, JSON.stringify(starts));
  });

  it('tells an agent that was killed, and starts it again', async (t) => {
    const home = await installReady(t);
    const pid = toPid((await run(join(home, 'koreconnector.sh'), ['start'])).stdout);
    process.kill(pid, 'SIGKILL');
    const status = await run(join(home, 'koreconnector.sh'), ['status']);
    assert.deepEqual(
      [status.code, status.stdout],
      [1, 'kore-connector is not running; it ended without being stopped\n'],
    );
    assert.notEqual(toPid((await run(join(home, 'koreconnector.sh'), ['start'])).stdout), pid);
  });

  it('shows how it is used for a word that it does not know', async (t) => {
    const home = await install(t);
    const { code, stderr } = await run(join(home, 'koreconnector.sh'), ['restrat']);
    assert.equal(code, 2);
    assert.match(stderr, /^usage: koreconnector start \| stop \| status/);
  });
});

const OLD: readonly string[] = ['0.10.29', '4.0.0', '10.24.1', '18.20.8', '20.18.3'];
const NEW: readonly string[] = ['20.19.0', '22.0.0', '100.0.0'];

describe('a Node.js that is too old', () => {
  for (const claimed of OLD) {
    it(`${claimed} gives one line`, async (t) => {
      const home = await install(t);
      const node = await makeNode(t, claimed);
      const sentence =
        `kore-connector needs Node.js 20.19 or newer, found v${claimed} at ${node}; ` +
        'see https://nodejs.org/en/download/\n';
      const expected: Ran = { code: 1, stdout: '', stderr: sentence };
      const env = { ...POOR, KORE_CONNECTOR_NODE: node };
      assert.deepEqual(await run(join(home, 'koreconnector.sh'), ['start'], { env }), expected);
      assert.deepEqual(await run(node, [join(home, 'lib', 'kore-connector.js'), 'start']), expected);
    });
  }

  for (const claimed of NEW) {
    it(`${claimed} is not`, async (t) => {
      const home = await install(t);
      const env = { ...POOR, KORE_CONNECTOR_NODE: await makeNode(t, claimed) };
      assert.equal((await run(join(home, 'koreconnector.sh'), ['version'], { env })).stdout, `${version}\n`);
    });
  }

  it('is passed over for a newer one', async (t) => {
    const home = await install(t);
    const old = await makeNode(t, '10.24.1');
    await mkdir(join(home, 'node', 'bin'), { recursive: true });
    await symlink(old, join(home, 'node', 'bin', 'node'));
    const newer = await makeNode(t, '20.19.0');
    const env = { PATH: `${join(newer, '..')}:${POOR.PATH}` };
    assert.equal((await run(join(home, 'koreconnector.sh'), ['version'], { env })).stdout, `${version}\n`);
  });

  it('and one that does not run at all gives one line, too', async (t) => {
    const home = await install(t);
    const broken = join(home, 'broken');
    await writeFile(broken, '#!/bin/sh\necho "libstdc++.so.6: cannot open" >&2\necho more >&2\nexit 127\n');
    await chmod(broken, 0o755);
    const env = { ...POOR, KORE_CONNECTOR_NODE: broken };
    const stderr = `kore-connector: ${broken} does not run on this system: libstdc++.so.6: cannot open\n`;
    assert.deepEqual(await run(join(home, 'koreconnector.sh'), ['start'], { env }), { code: 1, stdout: '', stderr });
  });

  it('and one that is not there gives one line, too', async (t) => {
    const home = await install(t);
    const env = { ...POOR, KORE_CONNECTOR_NODE: '/nowhere/node' };
    const stderr = 'kore-connector: KORE_CONNECTOR_NODE names /nowhere/node, which is no program\n';
    assert.deepEqual(await run(join(home, 'koreconnector.sh'), ['start'], { env }), { code: 1, stdout: '', stderr });
  });

  it('can read what tells it so', async (t) => {
    const home = await install(t);
    for (const file of ['check-node.js', 'kore-connector.js']) {
      const source = await readFile(join(home, 'lib', file), 'utf8');
      // What is written anew for ES5 was not ES5.
      const [old, now] = [await transform(source, { target: 'es5' }), await transform(source, { target: 'esnext' })];
      assert.equal(old.code, now.code, file);
      assert.doesNotMatch(source, /,\s*\)/, `${file}: a comma after the last argument`);
    }
  });

  it('is older than what the whole program needs', async () => {
    const { engines } = JSON.parse(await readFile('package.json', 'utf8')) as { engines: { node: string } };
    const check = await readFile(join('deploy', 'connector', 'check-node.cjs'), 'utf8');
    assert.equal(engines.node, `>=${/NEEDED = \[(\d+), (\d+)\]/.exec(check)?.slice(1).join('.')}`);
  });
});

describe('the single executable', () => {
  it('runs without Node.js, with its workers', async (t) => {
    const home = await installReady(t);
    const made = await pack(join(folder, 'executable'), '--executable');
    const name = [...made.keys()].find((key) => key.endsWith(`-${process.platform}-${process.arch}`));
    assert.ok(name, [...made.keys()].join());
    await cp(join(folder, 'executable', name), join(home, 'kore-connector'));
    await rm(join(home, 'lib'), { recursive: true });
    const say = (word: string): Promise<Ran> => run(join(home, 'koreconnector.sh'), [word], { env: POOR });

    assert.deepEqual(await say('version'), { code: 0, stdout: `${version}\n`, stderr: '' });
    assert.match((await say('check')).stdout, /^OK: 0 applications/);
    const started = await say('start');
    assert.equal(started.code, 0, started.stderr);
    const children = await run('ps', ['-o', 'pid=', '--ppid', String(toPid(started.stdout))]);
    assert.equal(children.stdout.trim().split('\n').length, 2, children.stdout);
    assert.match((await say('status')).stdout, /worker 2: running/);
    assert.equal((await say('stop')).stdout, 'kore-connector stopped\n');
  });
});

describe('what other systems start the agent by', () => {
  it('is a script with the line ends of Windows, whose labels are all there', async () => {
    const zip = join(folder, 'first', `kore-connector-${version}.zip`);
    const { stdout: source } = await run('unzip', ['-p', zip, '*.cmd']);
    assert.doesNotMatch(source, /(?<!\r)\n/);
    const labels = [...source.matchAll(/^:(\w+)/gm)].map(([, label]) => label);
    for (const [, label] of source.matchAll(/(?:goto|call) :(\w+)/g)) assert.ok(labels.includes(label), label);
  });

  it('is a unit of systemd whose paths are all there', async (t) => {
    const home = await install(t);
    const unit = (await readFile(join(home, 'kore-connector.service'), 'utf8')).replaceAll('/opt/kore-connector', home);
    const named = [...unit.matchAll(/^(?:ReadWritePaths|ExecStart|WorkingDirectory)=(.*)$/gm)];
    const paths = named.flatMap(([, value = '']) => value.split(' ')).filter((word) => word.startsWith('/'));
    assert.equal(paths.length, 8);
    for (const path of paths) await stat(path);
  });

  /** Where it stands to which folders the agent may write, and how they are called there. */
  const LISTS: Readonly<Record<string, readonly [file: string, lines: RegExp, name: RegExp]>> = {
    'the unit of systemd': ['kore-connector.service', /^ReadWritePaths=(.*)$/gm, /\w+(?= |$)/g],
    'the task of Windows': ['register-task.ps1', /^foreach \(.* in (.*)\)/gm, /\w+/g],
    'the chown of install.md': ['docs/connector/install.md', /chown -R kore-connector (.*)$/gm, /\w+/g],
  };
  for (const [name, [file, lines, word]] of Object.entries(LISTS)) {
    it(`is ${name}, which lets it write to the folders of the package but lib`, async (t) => {
      const home = await install(t);
      const text = await readFile(file.startsWith('docs/') ? file : join(home, file), 'utf8');
      const named = [...text.matchAll(lines)].flatMap(([, line = '']) => [...line.matchAll(word)].map(([one]) => one));
      const entries = await readdir(home, { withFileTypes: true });
      const folders = entries.filter((entry) => entry.isDirectory() && entry.name !== 'lib').map((entry) => entry.name);
      assert.deepEqual(named.sort(), folders.sort());
    });
  }
});
