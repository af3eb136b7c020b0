import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';

import { createPortPair, type Port, type ToPrimary, type ToWorker } from '../../../../src/connector/cluster/channel.ts';
import type { WorkerHandle } from '../../../../src/connector/cluster/fork.ts';
import {
  HEALTHY_MS,
  KILL_AFTER_MS,
  MAX_EARLY_DEATHS,
  startSupervisor,
  type SupervisorDeps,
} from '../../../../src/connector/cluster/supervisor.ts';
import { createAppLog } from '../../../../src/connector/logs/app-log.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';

const clock = createFakeClock(1_795_212_000);

/** A worker that does what the test says. */
interface FakeWorker {
  readonly heard: ToWorker[];
  say(message: ToPrimary): void;
  end(how: string): void;
  wasKilled: boolean;
}

function start(more: Partial<SupervisorDeps> = {}) {
  const workers: FakeWorker[] = [];
  const lines: string[] = [];
  const waits: number[] = [];
  const gaveUp: string[] = [];
  const audits: { texts: readonly string[]; onWritten: () => void }[] = [];
  const fork = (): WorkerHandle => {
    const [outer, inner]: readonly [Port, Port] = createPortPair();
    let end: (how: string) => void = () => undefined;
    const exited = new Promise<string>((resolve) => (end = resolve));
    const worker: FakeWorker = { heard: [], say: (message) => inner.send(message), end, wasKilled: false };
    inner.onMessage((message) => worker.heard.push(message as ToWorker));
    workers.push(worker);
    const kill = (): void => {
      worker.wasKilled = true;
      end('signal SIGKILL');
    };
    return { port: outer, pid: 1_000 + workers.length, exited, kill };
  };
  const supervisor = startSupervisor({
    count: 1,
    fork,
    clock,
    random: (below) => {
      waits.push(below);
      return below - 1;
    },
    log: createAppLog({ write: (line) => lines.push(line), level: () => 'trace', clock }),
    instance: 'i-1',
    config: () => ({ some: 'config' }),
    takeLogs: (given) => lines.push(...given),
    takeAudits: (texts, onWritten) => audits.push({ texts, onWritten }),
    answer: async (name) => `${name}!`,
    onWorkerEnd: () => undefined,
    onStatusChange: () => undefined,
    onGiveUp: (why) => gaveUp.push(why),
    ...more,
  });
  return { supervisor, workers, lines, waits, gaveUp, audits };
}

const settle = async (): Promise<void> => {
  for (let n = 0; n < 5; n++) await new Promise((resolve) => void setImmediate(resolve));
};

describe('the supervisor', () => {
  let now: number;
  beforeEach(() => {
    now = 0;
    mock.timers.enable({ apis: ['setTimeout'] });
    mock.method(performance, 'now', () => now);
  });
  afterEach(() => mock.reset());

  const pass = async (ms: number): Promise<void> => {
    now += ms;
    mock.timers.tick(ms);
    await settle();
  };

  it('gives a worker its number and configuration once it listens', async () => {
    const { workers, supervisor } = start({ count: 2 });
    await settle();
    assert.deepEqual(workers[1]?.heard, []);
    workers[1]?.say({ type: 'hello' });
    await settle();
    assert.deepEqual(workers[1]?.heard, [{ type: 'start', worker: 2, instance: 'i-1', config: { some: 'config' } }]);
    workers[1]?.say({ type: 'ready' });
    await settle();
    assert.deepEqual(supervisor.status().map(({ state }) => state), ['starting', 'running']); // prettier-ignore
  });

  it('starts a worker again, each time later up to half a minute, and says so', async () => {
    const { workers, waits, lines, gaveUp } = start({ count: 2 });
    for (let n = 0; n < 7; n++) {
      workers.at(n === 0 ? 0 : -1)?.end('signal SIGKILL');
      await settle();
      await pass(30_000);
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert.match(lines[0] ?? '', /"level":"critical".*"worker":1,"how":"signal SIGKILL"/);
    assert.deepEqual(gaveUp, []);
  });

  it('waits little again after a worker was healthy', async () => {
    const { workers, waits } = start();
    for (const livedMs of [0, 0, HEALTHY_MS]) {
      await pass(livedMs);
      workers.at(-1)?.end('exit code 1');
      await settle();
      await pass(30_000 - 29_000);
      await pass(1_000);
    }
    assert.deepEqual(waits, [1_000, 2_000, 1_000]);
  });

  it('gives up when no worker stays alive, not while one does', async () => {
    const { workers, gaveUp } = start({ count: 2 });
    const last: (FakeWorker | undefined)[] = [workers[0], workers[1]];
    const die = async (slot: 0 | 1): Promise<void> => {
      last[slot]?.end('exit code 1');
      await settle();
      await pass(30_000);
      last[slot] = workers.at(-1);
    };
    for (let n = 0; n < MAX_EARLY_DEATHS + 2; n++) await die(0);
    assert.deepEqual(gaveUp, []);
    // The second one has lived long by now: its first death is none of an unhealthy worker.
    for (let n = 0; n < MAX_EARLY_DEATHS + 1; n++) {
      assert.deepEqual(gaveUp, []);
      last[1]?.end('exit code 1');
      await settle();
      if (gaveUp.length === 0) await pass(30_000);
      last[1] = workers.at(-1);
    }
    assert.deepEqual(gaveUp, ['exit code 1']);
  });

  it('acknowledges audit lines when they are written, not before', async () => {
    const { workers, audits } = start();
    workers[0]?.say({ type: 'entries', logs: 'l1', audits: 'a1\na2' });
    await settle();
    await pass(1_000);
    assert.deepEqual(audits[0]?.texts, ['a1', 'a2']);
    assert.deepEqual(workers[0]?.heard, [{ type: 'ack', logs: 1, audits: 0 }]);
    audits[0]?.onWritten();
    await pass(1_000);
    assert.deepEqual(workers[0]?.heard[1], { type: 'ack', logs: 0, audits: 2 });
  });

  it('stops its workers, and ends one that does not', async () => {
    const { supervisor, workers } = start({ count: 2 });
    workers.forEach((worker) => worker.say({ type: 'hello' }));
    await settle();
    const stopped = supervisor.stop(1_000);
    await settle();
    assert.deepEqual(workers[0]?.heard.at(-1), { type: 'stop', graceMs: 1_000 });
    workers[0]?.end('exit code 0');
    await pass(1_000);
    assert.equal(workers[1]?.wasKilled, false);
    await pass(KILL_AFTER_MS);
    assert.equal(workers[1]?.wasKilled, true);
    await stopped;
    assert.deepEqual(supervisor.status().map(({ state }) => state), ['stopped', 'stopped']); // prettier-ignore
    assert.equal(workers.length, 2);
  });

  it('a worker that begins to listen after the stop is stopped', async () => {
    const { supervisor, workers } = start();
    void supervisor.stop(10);
    workers[0]?.say({ type: 'hello' });
    await settle();
    assert.deepEqual(workers[0]?.heard.map(({ type }) => type), ['stop', 'stop']); // prettier-ignore
  });

  it('answers a worker, and asks the first that runs', async () => {
    const { supervisor, workers } = start();
    await assert.rejects(supervisor.ask('csr', 1), { message: 'csr: no worker runs' });
    workers[0]?.say({ type: 'hello' });
    workers[0]?.say({ type: 'ready' });
    workers[0]?.say({ type: 'ask', id: 7, name: 'renew', payload: undefined });
    await settle();
    assert.deepEqual(workers[0]?.heard.at(-1), { type: 'answer', id: 7, value: 'renew!' });
    const answer = supervisor.ask('csr', 'please');
    await settle();
    const asked = workers[0]?.heard.at(-1);
    assert.ok(asked?.type === 'ask' && asked.payload === 'please');
    workers[0]?.say({ type: 'answer', id: asked.id, value: 'pem' });
    await settle();
    assert.equal(await answer, 'pem');
  });
});
