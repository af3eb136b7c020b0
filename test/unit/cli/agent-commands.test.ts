import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

import { runAgentCommand } from '../../../src/cli/agent-commands.ts';

interface Said {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

async function say(
  t: TestContext,
  args: readonly string[],
  prepare?: (folder: string) => Promise<void>,
): Promise<Said> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-agent-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await prepare?.(folder);
  const [out, error]: [string[], string[]] = [[], []];
  const code = await runAgentCommand({
    args,
    env: {},
    stop: new AbortController().signal,
    version: '1.2.3',
    folder,
    self: ['/nowhere/node'],
    wait: (ms) => wait(ms),
    print: (text) => out.push(text),
    printError: (text) => error.push(text),
  });
  return { code, out: out.join('\n'), error: error.join('\n') };
}

interface Case {
  readonly args: readonly string[];
  readonly code: number;
  readonly out?: RegExp;
  readonly error?: RegExp;
  readonly prepare?: (folder: string) => Promise<void>;
}

/** A pid file that cannot be read. */
const breakRun = async (folder: string): Promise<void> => {
  await mkdir(join(folder, 'run', 'kore-connector.pid'), { recursive: true });
};

const CASES: Readonly<Record<string, Case>> = {
  'no word shows the help': { args: [], code: 0, out: /^usage: koreconnector start \| stop/ },
  'help shows it': { args: ['help'], code: 0, out: /^usage: / },
  '--help shows it': { args: ['--help'], code: 0, out: /^usage: / },
  'version is the one of the package': { args: ['version'], code: 0, out: /^1\.2\.3$/ },
  'a name of every object is no word': { args: ['toString'], code: 2, error: /^usage: / },
  'an unknown option': { args: ['run', '--port=1'], code: 2, error: /^usage: / },
  'a word too many': { args: ['start', 'now'], code: 2, error: /^usage: / },
  'check on an empty folder': { args: ['check'], code: 1, error: /^kore-connector: .*connectorconfig\.json/s },
  'run on an empty folder': { args: ['run'], code: 1, error: /^kore-connector: .*connectorconfig\.json/s },
  'start with a program that is not there': {
    args: ['start'],
    code: 1,
    error: /^kore-connector did not start:\n.*ENOENT/,
  },
  'stop where none runs': { args: ['stop'], code: 0, out: /^kore-connector is not running$/ },
  'status where none runs': { args: ['status'], code: 3, out: /^kore-connector is not running$/ },
  'status where it cannot be told': { args: ['status'], code: 1, error: /^kore-connector: EISDIR/, prepare: breakRun },
  'stop where it cannot be told': { args: ['stop'], code: 1, error: /^kore-connector: EISDIR/, prepare: breakRun },
};

describe('a command of the packaged agent:', () => {
  for (const [name, { args, code, out = /^$/, error = /^$/, prepare }] of Object.entries(CASES)) {
    it(name, async (t) => {
      const said = await say(t, args, prepare);
      assert.match(said.out, out);
      assert.match(said.error, error);
      assert.equal(said.code, code);
    });
  }
});
