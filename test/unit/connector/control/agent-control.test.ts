import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

import { toPidPath } from '../../../../src/connector/cluster/pid-file.ts';
import { toStatusPath } from '../../../../src/connector/cluster/status-file.ts';
import { findAgent } from '../../../../src/connector/control/agent-process.ts';
import {
  MAX_REASON_CHARACTERS,
  startAgentProcess,
  type StartResult,
} from '../../../../src/connector/control/start-agent-process.ts';
import { stopAgentProcess } from '../../../../src/connector/control/stop-agent-process.ts';

/** What an agent does of which only start and stop can tell. */
const AGENT = `
  const { writeFileSync } = require('node:fs');
  const say = (...states) => {
    claim();
    const workers = (states.length ? states : ['running', 'running']).map((state) => ({ state }));
    writeFileSync('run/status.json', JSON.stringify({ state: 'running', pid: process.pid, workers }));
  };
  const claim = () => writeFileSync('run/kore-connector.pid', process.pid + '\\n');
  setInterval(() => undefined, 1000);
  ({
    good: () => say(),
    slow: () => {
      say('running', 'starting');
      setTimeout(() => { writeFileSync('run/slow', ''); say('running', 'waiting'); }, 300);
    },
    idle: () => say('starting', 'waiting'),
    limping: () => say('waiting', 'waiting'),
    stubborn: () => { process.on('SIGTERM', () => undefined); say(); },
    polite: () => { process.on('SIGTERM', () => setTimeout(() => process.exit(), 200)); say(); },
    faulty: () => { console.error('two faults:\\n  a\\n  b'); process.exit(1); },
    talkative: () => { console.error('x'.repeat(100000) + 'the end'); process.exitCode = 1; process.exit(); },
    late: () => { claim(); setTimeout(() => { console.error('too late'); process.exit(1); }, 300); },
    failing: () => {
      say();
      writeFileSync('run/status.json', JSON.stringify({ state: 'failed', pid: process.pid, workers: [] }));
      setTimeout(() => { console.error('failed'); process.exit(1); }, 300);
    },
    second: () => { writeFileSync('run/kore-connector.pid', process.ppid + '\\n'); process.exit(1); },
    mute: claim,
    silent: () => process.exit(7),
    crashing: () => process.kill(process.pid, 'SIGKILL'),
    looking: () => { console.error(process.cwd() + ' ' + process.env.GIVEN + ' ' + process.env.HOME); process.exit(1); },
  })[process.argv[2]]();
`;

async function makeInstallation(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-connector-'));
  await writeFile(join(folder, 'connector-agent.cjs'), AGENT);
  t.after(async () => {
    const agent = await findAgent(folder);
    if (agent.state === 'running' && agent.pid !== process.pid) process.kill(agent.pid, 'SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

function start(
  folder: string,
  manner: string,
  { command = process.execPath, ...more }: { command?: string; timeoutMs?: number } = {},
): Promise<StartResult> {
  const args = [join(folder, 'connector-agent.cjs'), manner];
  return startAgentProcess({ folder, command, args, env: { GIVEN: 'given' }, wait, ...more });
}

async function writePid(folder: string, text: string): Promise<void> {
  await mkdir(join(folder, 'run'));
  await writeFile(toPidPath(folder), text);
}

const FAILURES: Readonly<Record<string, readonly [manner: string, reason: RegExp]>> = {
  'what the agent says': ['faulty', /^two faults:\n {2}a\n {2}b$/],
  'its exit code where it says nothing': ['silent', /^it ended with exit code 7$/],
  'what it says after it has its pid file': ['late', /^too late$/],
  'what it says where its status is a failure': ['failing', /^failed$/],
  'its signal where it says nothing': ['crashing', /^it ended with SIGKILL$/],
  'the end of what it says, where that is much': ['talkative', /^x{8185}the end$/],
};

describe('starting the agent', () => {
  it('waits until it says so', async (t) => {
    const folder = await makeInstallation(t);
    const result = await start(folder, 'good');
    assert.equal(result.outcome, 'started');
    assert.deepEqual(await findAgent(folder), { state: 'running', pid: 'pid' in result ? result.pid : undefined });
  });

  it('does nothing where it runs', async (t) => {
    const folder = await makeInstallation(t);
    const first = await start(folder, 'good');
    assert.deepEqual(await start(folder, 'faulty'), { ...first, outcome: 'already' });
  });

  it('does nothing where another start was first', async (t) => {
    assert.deepEqual(await start(await makeInstallation(t), 'second'), { outcome: 'already', pid: process.pid });
  });

  it('waits until no worker is on its way', async (t) => {
    const folder = await makeInstallation(t);
    assert.equal((await start(folder, 'slow')).outcome, 'started');
    assert.ok((await readdir(join(folder, 'run'))).includes('slow'));
  });

  const SLOW: Readonly<Record<string, string>> = {
    'that says nothing': 'mute',
    'whose workers are on their way': 'idle',
    'whose workers have all ended': 'limping',
  };
  for (const [name, manner] of Object.entries(SLOW)) {
    it(`gives up waiting for one ${name}`, async (t) => {
      const folder = await makeInstallation(t);
      assert.equal((await start(folder, manner, { timeoutMs: 500 })).outcome, 'slow');
    });
  }

  for (const [name, [manner, reason]] of Object.entries(FAILURES)) {
    it(`fails with ${name}`, async (t) => {
      const result = await start(await makeInstallation(t), manner);
      assert.ok(result.outcome === 'failed');
      assert.match(result.reason, reason);
      assert.ok(result.reason.length <= MAX_REASON_CHARACTERS);
    });
  }

  it('fails where the program is not there', async (t) => {
    const result = await start(await makeInstallation(t), 'good', { command: '/nowhere/node' });
    assert.ok(result.outcome === 'failed');
    assert.match(result.reason, /ENOENT/);
  });

  it('gives it the folder and the given environment, no other', async (t) => {
    const folder = await makeInstallation(t);
    const result = await start(folder, 'looking');
    assert.deepEqual(result, { outcome: 'failed', reason: `${folder} given undefined` });
  });
});

/** What may stand in a pid file that names no agent. */
const NO_AGENT: Readonly<Record<string, string>> = {
  'an empty file': '',
  'no number': 'agent',
  'zero, which is every process of the group': '0',
  'a process that has ended': '4194303',
  'a process that began at another time': '1\n12345 another-run-of-the-machine',
  'a number beyond all processes': '9999999999',
};

describe('a pid file with', () => {
  for (const [name, text] of Object.entries(NO_AGENT)) {
    it(name, async (t) => {
      const folder = await makeInstallation(t);
      await writePid(folder, text);
      assert.equal((await findAgent(folder)).state, 'dead');
      assert.deepEqual(await stopAgentProcess({ folder, wait }), { outcome: 'not running' });
      assert.equal((await start(folder, 'good')).outcome, 'started');
    });
  }

  it('a status of an earlier agent does not pass for a start', async (t) => {
    const folder = await makeInstallation(t);
    await writePid(folder, '4194303');
    await writeFile(toStatusPath(folder), JSON.stringify({ state: 'running', pid: 4194303 }));
    assert.equal((await start(folder, 'faulty')).outcome, 'failed');
  });
});

describe('stopping the agent', () => {
  for (const manner of ['good', 'polite']) {
    it(`that is ${manner} waits until it has ended, and leaves no pid file`, async (t) => {
      const folder = await makeInstallation(t);
      await start(folder, manner);
      assert.deepEqual(await stopAgentProcess({ folder, wait }), { outcome: 'stopped' });
      assert.deepEqual(await findAgent(folder), { state: 'stopped' });
      assert.deepEqual((await readdir(join(folder, 'run'))).sort(), ['kore-connector.out', 'status.json']);
    });
  }

  it('kills one that does not end', async (t) => {
    const folder = await makeInstallation(t);
    await start(folder, 'stubborn');
    assert.deepEqual(await stopAgentProcess({ folder, wait, timeoutMs: 100 }), { outcome: 'killed' });
  });

  it('does nothing where none runs', async (t) => {
    assert.deepEqual(await stopAgentProcess({ folder: await makeInstallation(t), wait }), { outcome: 'not running' });
  });
});
