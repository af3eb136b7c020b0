import { spawnSync } from 'node:child_process';
import { findPython, knowsModules } from './find-python.ts';

/** What the tests run beside npm's packages, by Debian's names: real servers, a real browser, another JOSE. */
const PACKAGES = {
  'redis-server': () => run('redis-server', ['--version']),
  chromium: () => run('chromium', ['--version']),
  curl: () => run('curl', ['--version']),
  openssl: () => run('openssl', ['version']),
  'nginx-light': () => run('/usr/sbin/nginx', ['-v']),
  'tinyproxy-bin': () => run('tinyproxy', ['-v']),
  unzip: () => run('unzip', ['-v']),
  faketime: () => run('faketime', ['--version']),
  procps: () => run('ps', ['--version']),
  'python3-jwt': () => findPython() !== undefined || knowsModules('/usr/bin/python3', ['jwt']),
  'python3-jwcrypto': () => findPython() !== undefined || knowsModules('/usr/bin/python3', ['jwcrypto']),
} as const satisfies Record<string, () => boolean>;

/** Runs a command without input. @returns whether it exited with 0 */
function run(command: string, args: readonly string[], output: 'ignore' | 'inherit' = 'ignore'): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, args, { stdio: ['ignore', output, output], env }).status === 0;
}

function findMissing(): string[] {
  return Object.entries(PACKAGES).flatMap(([name, isThere]) => (isThere() ? [] : [name]));
}

/** Installs Debian's packages where that is possible: as root, with apt. */
function install(names: readonly string[]): void {
  if (process.getuid?.() !== 0 || !run('apt-get', ['--version'])) return;
  for (const name of names) console.log(`${name} is missing: installing Debian's package`);
  run('apt-get', ['-q', 'update'], 'inherit');
  run('apt-get', ['-q', 'install', '-y', '--no-install-recommends', ...names], 'inherit');
}

const missing = findMissing();
if (missing.length > 0) install(missing);
const stillMissing = missing.length > 0 ? findMissing() : [];
if (stillMissing.length > 0) {
  console.error(`The tests need Debian's packages, install them first: apt-get install ${stillMissing.join(' ')}`);
  process.exitCode = 1;
}
