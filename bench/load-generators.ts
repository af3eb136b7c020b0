import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { CONNECTION_COUNT, type LoadGenerator } from './load.ts';

/** Until an answer counts as missing: long enough for a disk that others use, too. */
const ANSWER_TIMEOUT = '10s';

/** What can load a server. */
export const GENERATORS: Readonly<Record<'wrk' | 'autocannon', LoadGenerator>> = {
  wrk: {
    name: 'wrk, one thread',
    toCommand: ({ url, fields, bodiesFile, seconds }) => {
      const size = ['--threads', '1', '--connections', String(CONNECTION_COUNT)];
      const time = ['--duration', `${seconds}s`, '--timeout', ANSWER_TIMEOUT];
      const header = Object.entries(fields).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
      return ['wrk', ...size, ...time, ...header, '--script', resolve('bench/wrk.lua'), url, '--', bodiesFile];
    },
  },
  autocannon: {
    name: 'autocannon',
    toCommand: ({ url, fields, bodiesFile, seconds }) => {
      const script = fileURLToPath(new URL('./autocannon-load.js', import.meta.url));
      return [process.execPath, script, url, bodiesFile, String(seconds), JSON.stringify(fields)];
    },
  },
};

function canRun(command: string, args: readonly string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, args, { stdio: 'ignore', env }).error === undefined;
}

/** wrk where it is there or can be installed (root, apt), else autocannon. */
export function findLoadGenerator(): LoadGenerator {
  const isThere = (): boolean => canRun('wrk', ['--version']);
  if (!isThere() && process.getuid?.() === 0) {
    console.log("wrk is missing: installing Debian's package");
    if (canRun('apt-get', ['-q', 'update']))
      canRun('apt-get', ['-q', 'install', '-y', '--no-install-recommends', 'wrk']);
  }
  return isThere() ? GENERATORS.wrk : GENERATORS.autocannon;
}
