import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { findRunning, toPidPath } from '../../../../src/connector/cluster/pid-file.ts';
import {
  type AgentStatus,
  readStatus,
  toStatusPath,
  WRITE_STATUS_EVERY_MS,
} from '../../../../src/connector/cluster/status-file.ts';
import { verifyAudit } from '../../../../src/connector/logs/audit-verify.ts';
import { listLogFiles } from '../../../../src/connector/logs/log-folder.ts';
import { type Child, describeChild, startChild } from '../../../support/child.ts';
import { ACCESS, createInstallations, type Installation, SEED_CONFIG } from '../config/installation.ts';

const SCRIPT = fileURLToPath(new URL('busy-agent.js', import.meta.url));
const TIMEOUT_MS = 20_000;

let installations: ReturnType<typeof createInstallations>;
before(() => (installations = createInstallations()));
after(() => installations.remove());

interface Agent {
  readonly child: Child;
  readonly installation: Installation;
}

async function start(t: TestContext, installation: Installation, manner = 'busy'): Promise<Agent> {
  const args = [SCRIPT, installation.folder, manner];
  const child = await startChild({ command: process.execPath, args, cwd: '/' });
  t.after(() => child.kill());
  return { child, installation };
}

async function until<T>(child: Child, what: string, find: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = performance.now() + TIMEOUT_MS;
  for (;;) {
    const found = await find();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) assert.fail(`${what}: not in time\n${describeChild(child)}`);
    await wait(20);
  }
}

const readAgentStatus = ({ installation }: Agent): Promise<AgentStatus | undefined> =>
  readStatus(toStatusPath(installation.folder));
const findFiles = async ({ installation }: Agent, kind: 'app' | 'audit') =>
  kind === 'app'
    ? listLogFiles(installation.path('logs'), 'kore-connector.log')
    : listLogFiles(installation.path('audits'), 'kore-connector-audit.log');
const readLog = async (agent: Agent, kind: 'app' | 'audit'): Promise<Record<string, unknown>[]> => {
  const texts = await Promise.all((await findFiles(agent, kind)).map(({ path }) => readFile(path, 'utf8')));
  const lines = texts.join('').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
};
const verify = async (agent: Agent) => verifyAudit((await findFiles(agent, 'audit')).map(({ path }) => path));

/** Waits until all workers run and as many audit lines are written. */
const untilBusy = (agent: Agent, count: number, but?: number): Promise<AgentStatus> =>
  until(agent.child, 'workers that run', async () => {
    const status = await readAgentStatus(agent);
    if (status?.pid !== agent.child.pid || status.audit.count < count) return undefined;
    const run = status.workers.every(({ state, pid }) => state === 'running' && (but === undefined || pid !== but));
    return run ? status : undefined;
  });

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
/** A process that has ended and that nobody has asked for its exit code is dead as well. */
const isDead = async (pid: number): Promise<boolean> =>
  !isAlive(pid) || / Z /.test(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ' Z '));

const withCluster = (workers: number, enabled = true): string =>
  SEED_CONFIG.replace('"enabled":true', `"enabled":${enabled}`).replace('"workers":2', `"workers":${workers}`);

describe('an agent as processes', { timeout: 120_000 }, () => {
  it('a worker that is killed under load is started again, and the chain holds', async (t) => {
    const agent = await start(t, installations.create());
    const before = await untilBusy(agent, 200);
    const victim = before.workers[0]?.pid ?? 0;
    process.kill(victim, 'SIGKILL');
    const later = await untilBusy(agent, before.audit.count + 500, victim);
    assert.equal(later.workers[0]?.restarts, 1);
    assert.deepEqual(await agent.child.stop(), { code: 0, signal: null });
    const { broken, notes, lines } = await verify(agent);
    assert.deepEqual([broken, notes], [undefined, []]);
    assert.ok(lines > later.audit.count);
    const log = await readLog(agent, 'app');
    const critical = log.filter(({ level }) => level === 'critical');
    assert.deepEqual(critical.map(({ worker, how }) => [worker, how]), [[1, 'signal SIGKILL']]); // prettier-ignore
  });

  it('every request of a worker that stops is written, and the last line is the stop', async (t) => {
    const agent = await start(t, installations.create());
    await untilBusy(agent, 200);
    await agent.child.stop();
    const log = await readLog(agent, 'app');
    const told = log.filter(({ message }) => message === 'the worker has stopped');
    const written = (await readLog(agent, 'audit')).filter(({ kind }) => kind === 'request').length;
    assert.equal(written, told.reduce((sum, { requests }) => sum + Number(requests), 0)); // prettier-ignore
    assert.equal(log.at(-1)?.['message'], 'the agent has stopped');
    assert.equal(log.at(-1)?.['auditHash'], (await verify(agent)).last?.hash);
    assert.equal((await readLog(agent, 'audit')).at(-1)?.['kind'], 'stop');
    assert.equal((await readAgentStatus(agent))?.state, 'stopped');
    assert.equal(await findRunning(toPidPath(agent.installation.folder)), undefined);
  });

  it('a primary that is killed takes its workers with it, and the next one goes on with the chain', async (t) => {
    const installation = installations.create();
    const agent = await start(t, installation);
    const { workers } = await untilBusy(agent, 200);
    await agent.child.kill();
    const killedAt = performance.now();
    for (const { pid } of workers) await until(agent.child, 'a worker that ends', () => isDead(pid ?? 0));
    assert.ok(performance.now() - killedAt < 5_000);

    const next = await start(t, installation);
    await untilBusy(next, 500);
    await next.child.stop();
    const { broken, first } = await verify(next);
    assert.deepEqual([broken, first?.number], [undefined, 1]);
    const starts = (await readLog(next, 'audit')).filter(({ kind }) => kind === 'start');
    assert.equal(starts.length, 2);
  });

  it('a second agent of the same folder does not start', async (t) => {
    const agent = await start(t, installations.create());
    await untilBusy(agent, 10);
    const second = await start(t, agent.installation);
    assert.deepEqual(await second.child.exited, { code: 1, signal: null });
    assert.match(second.child.stderr(), new RegExp(`runs already, as process ${agent.child.pid}`));
    await agent.child.stop();
  });

  it('when no worker stays alive the agent ends, and fatal is its last line', async (t) => {
    const agent = await start(t, installations.create(), 'broken');
    assert.deepEqual(await agent.child.exited, { code: 1, signal: null });
    const log = await readLog(agent, 'app');
    assert.equal(log.at(-1)?.['level'], 'fatal');
    assert.match(String(log.at(-1)?.['error']), /no worker stays alive/);
    assert.equal(log.filter(({ level }) => level === 'fatal').length, 1);
    assert.ok(log.some(({ error }) => /this worker cannot start/.test(String(error))));
    assert.equal((await readAgentStatus(agent))?.state, 'failed');
  });

  it('a change of the configuration reaches every worker, a fault does not, both are written', async (t) => {
    const agent = await start(t, installations.create());
    await untilBusy(agent, 10);
    agent.installation.write('config/configs/accesscontrol.json', '[]\n');
    await until(agent.child, 'new tables', async () =>
      (await readAgentStatus(agent))?.workers.every(({ agent: job }) => (job as { mappings: number }).mappings === 0),
    );
    agent.installation.write('config/configs/accesscontrol.json', '[{]\n');
    await until(agent.child, 'the fault', async () =>
      (await readLog(agent, 'app')).some(
        ({ message, level }) => level === 'error' && /is not taken/.test(String(message)),
      ),
    );
    await agent.child.stop();
    const changes = (await readLog(agent, 'audit')).filter(({ kind }) => kind === 'config');
    assert.deepEqual(changes.map(({ result }) => result), ['taken', 'refused']); // prettier-ignore
    assert.match(JSON.stringify(changes[0]), /application crm.virtual:8080 is removed/);
    assert.match(JSON.stringify(changes[0]), /accesscontrol\.json\.[\dT.-]+Z\.bak/);
  });

  it('without a cluster everything is one process', async (t) => {
    const installation = installations.create();
    installation.write('config/connectorconfig.json', withCluster(4, false));
    const agent = await start(t, installation);
    const status = await untilBusy(agent, 100);
    assert.deepEqual(status.workers.map(({ worker, pid }) => [worker, pid]), [[1, undefined]]); // prettier-ignore
    assert.deepEqual(await agent.child.stop(), { code: 0, signal: null });
    assert.equal((await verify(agent)).broken, undefined);
  });

  it('a configuration with faults does not start, and every fault is told', async (t) => {
    const installation = installations.create();
    installation.write('config/connectorconfig.json', withCluster(0).replace('"info"', '"loud"'));
    const agent = await start(t, installation);
    assert.deepEqual(await agent.child.exited, { code: 1, signal: null });
    assert.match(agent.child.stderr(), /cluster\.workers/);
    assert.match(agent.child.stderr(), /logger\.applogs\.level/);
    assert.deepEqual(await findFiles(agent, 'app'), []);
  });

  it('a refused start is in the application log, where the configuration says which', async (t) => {
    const installation = installations.create();
    installation.write('config/connectorconfig.json', withCluster(0));
    const agent = await start(t, installation);
    assert.deepEqual(await agent.child.exited, { code: 1, signal: null });
    const [line, ...more] = await readLog(agent, 'app');
    assert.deepEqual([line?.['level'], more], ['fatal', []]);
    assert.match(String(line?.['faults']), /"cluster\.workers": must be/);
  });

  it('a refused start leaves the log of an agent that runs alone', async (t) => {
    const agent = await start(t, installations.create(), 'quiet');
    await untilBusy(agent, 1);
    agent.installation.write('config/connectorconfig.json', withCluster(0));
    const second = await start(t, agent.installation, 'quiet');
    assert.deepEqual(await second.child.exited, { code: 1, signal: null });
    await agent.child.stop();
    assert.equal((await readLog(agent, 'app')).filter(({ level }) => level === 'fatal').length, 0);
  });

  it('a start tells the hashes of its files, and what was changed while no agent ran', async (t) => {
    const installation = installations.create();
    const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
    const run = async (): Promise<Agent> => {
      const agent = await start(t, installation, 'quiet');
      await untilBusy(agent, 1);
      await agent.child.stop();
      return agent;
    };
    await run();
    installation.write('config/configs/accesscontrol.json', '[]\n');
    await run();
    const lines = (await readLog(await run(), 'audit')).filter(({ kind }) => kind === 'start' || kind === 'config');
    assert.deepEqual(lines.map(({ kind }) => kind), ['start', 'start', 'config', 'start']); // prettier-ignore
    const toConfiguration = (access: string): unknown => [
      { file: 'config/connectorconfig.json', sha256: hash(SEED_CONFIG) },
      { file: 'config/configs/accesscontrol.json', sha256: hash(access) },
    ];
    assert.deepEqual(lines.map(({ configuration }) => configuration), [ACCESS, '[]\n', '[]\n', '[]\n'].map(toConfiguration)); // prettier-ignore
    const [changed] = (lines[2]?.['files'] ?? []) as { file: string; formerKeptAs: string }[];
    assert.equal(changed?.file, 'config/configs/accesscontrol.json');
    assert.equal(await readFile(installation.path(changed?.formerKeptAs ?? ''), 'utf8'), ACCESS);
    assert.equal((await stat(installation.path('run/former'))).mode & 0o777, 0o700);
    assert.deepEqual((await readdir(installation.path('run/former'))).sort(), [
      'accesscontrol.json',
      'connectorconfig.json',
    ]);
  });

  it('a change that an agent has taken is none at its next start', async (t) => {
    const installation = installations.create();
    const agent = await start(t, installation, 'quiet');
    await untilBusy(agent, 1);
    installation.write('config/configs/accesscontrol.json', '[]\n');
    await untilBusy(agent, 2);
    await agent.child.stop();
    const next = await start(t, installation, 'quiet');
    await untilBusy(next, 4);
    await next.child.stop();
    assert.equal((await readLog(next, 'audit')).filter(({ kind }) => kind === 'config').length, 1);
  });

  it('the status is written soon after each audit line, and ends where the log on the disk ends', async (t) => {
    const agent = await start(t, installations.create(), 'quiet');
    const { audit } = await untilBusy(agent, 1);
    agent.installation.write('config/configs/accesscontrol.json', '[{]\n');
    await until(agent.child, 'the refusal', async () => (await verify(agent)).lines > audit.count);
    const writtenAt = performance.now();
    const { last } = await verify(agent);
    await until(agent.child, 'the status', async () => (await readAgentStatus(agent))?.audit.hash === last?.hash);
    const tookMs = performance.now() - writtenAt;
    assert.ok(tookMs < WRITE_STATUS_EVERY_MS / 3, `${tookMs} ms`);
    await agent.child.stop();
  });

  it('an audit folder that is a file ends the start with a fatal line', async (t) => {
    const installation = installations.create();
    installation.write('audits', 'not a folder');
    const agent = await start(t, installation);
    assert.deepEqual(await agent.child.exited, { code: 1, signal: null });
    assert.match(agent.child.stderr(), /"logger\.auditlogs\.path": audits is not a folder/);
    assert.equal((await readLog(agent, 'app')).at(-1)?.['level'], 'fatal');
  });

  it('runs from any folder: paths are those of the installation', async (t) => {
    const agent = await start(t, installations.create());
    await untilBusy(agent, 10);
    assert.ok((await findFiles(agent, 'app'))[0]?.path.startsWith(join(agent.installation.folder, 'logs')));
    await agent.child.stop();
  });
});
