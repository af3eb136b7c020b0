import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  createChannel,
  createPortPair,
  type ToPrimary,
  type ToWorker,
} from '../../../../src/connector/cluster/channel.ts';
import { startSupervisor, type Supervisor } from '../../../../src/connector/cluster/supervisor.ts';
import { createHeardLog } from '../webhooks/spool-under-test.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import { waitUntil } from '../../../support/connector-chain.ts';

/** Workers that answer as the test says; a worker whose answer is `silent` never runs. */
async function start(answers: readonly unknown[]): Promise<{ supervisor: Supervisor; asked: number[] }> {
  const asked: number[] = [];
  let count = 0;
  const supervisor = startSupervisor({
    count: answers.length,
    fork: () => {
      const worker = count++;
      const [outer, inner] = createPortPair();
      const channel = createChannel<ToWorker, ToPrimary>(
        inner,
        (message) => void (message.type === 'start' && channel.send({ type: 'ready' })),
        async () => {
          asked.push(worker);
          const answer = answers[worker];
          if (answer instanceof Error) throw answer;
          return answer;
        },
      );
      if (answers[worker] !== 'silent') setImmediate(() => channel.send({ type: 'hello' }));
      return { port: outer, pid: 1, exited: new Promise(() => undefined), kill: () => undefined };
    },
    clock: createFakeClock(1_800_000_000),
    random: () => 0,
    log: createHeardLog().log,
    instance: 'i-1',
    config: () => ({}),
    takeLogs: () => undefined,
    takeAudits: () => undefined,
    answer: () => Promise.resolve(),
    onWorkerEnd: () => undefined,
    onStatusChange: () => undefined,
    onGiveUp: () => undefined,
  });
  const running = answers.filter((answer) => answer !== 'silent').length;
  await waitUntil('they run', () => supervisor.status().filter(({ state }) => state === 'running').length === running);
  return { supervisor, asked };
}

describe('a question to the workers', () => {
  it('goes to another one first each time', async () => {
    const { supervisor, asked } = await start(['a', 'b', 'c']);
    const answers = [];
    for (let n = 0; n < 4; n++) answers.push(await supervisor.ask('x', undefined));
    assert.deepEqual([answers, asked], [['a', 'b', 'c', 'a'], [0, 1, 2, 0]]); // prettier-ignore
  });

  it('goes on to the next where one has no answer, and stops at a failure', async () => {
    const { supervisor, asked } = await start([undefined, 'b', new Error('lost')]);
    assert.equal(await supervisor.ask('x', undefined), 'b');
    assert.equal(await supervisor.ask('x', undefined), 'b');
    await assert.rejects(supervisor.ask('x', undefined), { message: 'lost' });
    assert.deepEqual(asked, [0, 1, 1, 2]);
  });

  it('has no answer where nobody has one, and fails where nobody runs', async () => {
    const { supervisor } = await start([undefined, 'silent']);
    assert.equal(await supervisor.ask('x', undefined), undefined);
    await assert.rejects((await start(['silent'])).supervisor.ask('x', undefined), /no worker runs/);
  });
});
