import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describeChild, startChild } from '../test/support/child.ts';

/** Cores, so that the server and what loads it never share one. */
export const CORES = { server: 0, load: 1 } as const;

/** Connections that are open at once. */
export const CONNECTION_COUNT = 64;

/** Until an answer counts as missing: long enough for a disk that others use, too. */
const ANSWER_TIMEOUT = '10s';

/** What is posted where: the lines of a file, each a JSON body. */
export interface Shots {
  readonly url: string;
  readonly bodiesFile: string;
  readonly durationSeconds: number;
}

/** What came of it. */
export interface LoadResult {
  readonly requestCount: number;
  readonly durationSeconds: number;
  /** Answers that were not 2xx. */
  readonly refusedCount: number;
  /** Requests without an answer. */
  readonly failedCount: number;
}

/** A load generator, and how it is started. */
export interface LoadGenerator {
  readonly name: string;
  toCommand(shots: Shots): readonly string[];
}

const GENERATORS: Readonly<Record<'wrk' | 'autocannon', LoadGenerator>> = {
  wrk: {
    name: 'wrk, one thread',
    toCommand: ({ url, bodiesFile, durationSeconds }) => {
      const amounts = [
        '--threads',
        '1',
        '--connections',
        String(CONNECTION_COUNT),
        '--duration',
        `${durationSeconds}s`,
        '--timeout',
        ANSWER_TIMEOUT,
      ];
      return ['wrk', ...amounts, '--script', resolve('bench/wrk.lua'), url, '--', bodiesFile];
    },
  },
  autocannon: {
    name: 'autocannon',
    toCommand: ({ url, bodiesFile, durationSeconds }) => {
      const script = fileURLToPath(new URL('./autocannon-load.js', import.meta.url));
      return [process.execPath, script, url, bodiesFile, String(durationSeconds)];
    },
  },
};

function canRun(command: string, args: readonly string[]): boolean {
  return (
    spawnSync(command, args, { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }).error ===
    undefined
  );
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

/**
 * Loads a server from the load's own core.
 * @throws when the generator fails, or an answer was not 2xx, or did not come
 */
export async function fire(generator: LoadGenerator, shots: Shots): Promise<LoadResult> {
  const args = ['-c', String(CORES.load), ...generator.toCommand(shots)];
  const child = await startChild({ command: 'taskset', args, cwd: process.cwd() });
  const { code } = await child.exited;
  const line = child
    .stdout()
    .split('\n')
    .find((text) => text.startsWith('{'));
  if (code !== 0 || line === undefined) throw new Error(`${generator.name} failed\n${describeChild(child)}`);
  const result = JSON.parse(line) as LoadResult;
  if (result.refusedCount + result.failedCount > 0 || result.requestCount === 0) {
    throw new Error(`${shots.url}: not every answer is 2xx\n${child.stdout()}`);
  }
  return result;
}
