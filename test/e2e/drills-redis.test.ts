import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Redis } from 'ioredis';

import {
  assertUnharmed,
  askUserInfo,
  describeResult,
  type DrilledApp,
  LOAD_ENVIRONMENT,
  present,
  REFUSAL_LIMIT_MS,
  registerApp,
  settle,
  startLoad,
  untilServing,
} from '../support/exchange-load.ts';
import { type CountersignProcess, type RedisProcess, startCountersign, startRedis } from '../support/processes.ts';

/** Two idproxies on that Redis, ready. */
async function startPair(url: string, env: Readonly<Record<string, string>> = {}): Promise<CountersignProcess[]> {
  const shared = { ...LOAD_ENVIRONMENT, COUNTERSIGN_REDIS_URL: url, ...env };
  const first = await startCountersign(['idproxy'], shared);
  const second = await startCountersign(['idproxy'], { ...shared, COUNTERSIGN_KEYS_DIR: first.keysDir });
  const pair = [first, second];
  await Promise.all(pair.map((one) => untilServing(one)));
  return pair;
}

const stopAll = async (processes: readonly CountersignProcess[]): Promise<void> => {
  for (const one of processes.toReversed()) await one.stop();
};

describe('two idproxies under load whose Redis', () => {
  let redis: RedisProcess;
  let direct: Redis;
  let pair: CountersignProcess[] = [];
  let app: DrilledApp;

  before(async () => {
    redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    direct = new Redis(redis.url);
    direct.on('error', () => undefined);
    pair = await startPair(redis.url);
    app = await registerApp(pair[0] as CountersignProcess);
  });
  after(async () => {
    await stopAll(pair);
    direct?.disconnect();
    await redis?.stop();
  });

  /** A fault under load, and how it ends. */
  const FAULTS: Readonly<Record<string, { begin: () => Promise<void>; end: () => Promise<void> }>> = {
    'is killed and comes back with its data': { begin: () => redis.kill(), end: () => redis.restart() },
    'stops answering for a while': {
      begin: async () => redis.pause(),
      end: async () => redis.resume(),
    },
    'is full': {
      begin: async () => void (await direct.config('SET', 'maxmemory', '1mb')),
      end: async () => void (await direct.config('SET', 'maxmemory', '0')),
    },
  };
  for (const [fault, { begin, end }] of Object.entries(FAULTS)) {
    test(`${fault}: refused with 503 in time, nothing granted twice, nothing forgotten, served again by itself`, async (t) => {
      const load = startLoad(pair, app);
      try {
        await load.until(() => load.count('granted') > 200, 'the load is on');
        await begin();
        const refused = load.count('refused');
        await load.until(() => load.count('refused') > refused + 100, 'exchanges are refused');
        await end();
        const granted = load.count('granted');
        await load.until(() => load.count('granted') > granted + 200, 'exchanges are granted again');
      } finally {
        await load.stop();
      }
      const result = await settle(load, pair[0] as CountersignProcess);
      t.diagnostic(describeResult(result));
      assertUnharmed(result);
      assert.equal(load.count('broken'), 0, 'a client was left without an answer');
    });
  }
});

describe('two idproxies whose Redis comes back empty', () => {
  let redis: RedisProcess;
  let pair: CountersignProcess[] = [];
  before(async () => {
    redis = await startRedis();
    pair = await startPair(redis.url);
  });
  after(async () => {
    await stopAll(pair);
    await redis?.stop();
  });

  /** How a server loses everything: with its connections, or under them. */
  const LOSSES: Readonly<Record<string, () => Promise<void>>> = {
    'by a restart': async () => {
      await redis.kill();
      await redis.restart();
    },
    'by a command': async () => {
      const direct = new Redis(redis.url);
      await direct.flushall();
      direct.disconnect();
    },
  };
  for (const [how, lose] of Object.entries(LOSSES)) {
    test(`${how}: not one assertion is granted for an app that is gone, and a new one is served by itself`, async (t) => {
      const [a, b] = pair as [CountersignProcess, CountersignProcess];
      const app = await registerApp(a);
      const load = startLoad(pair, app);
      await load.until(() => load.count('granted') > 300, 'the load is on');
      const before = new Set(load.answers.keys());
      await lose();
      const refused = load.count('refused');
      await load.until(() => load.count('refused') > refused + 100, 'exchanges are refused');
      await load.stop();
      const used = [...load.answers].filter(([assertion]) => before.has(assertion)).map(([assertion]) => assertion);
      for (const assertion of [...used.slice(-100), app.sign()])
        for (const idproxy of pair) {
          const answer = await present(idproxy, assertion);
          assert.ok(
            answer.kind === 'refused' && (answer.status === 401 || answer.status === 503),
            JSON.stringify(answer),
          );
          assert.ok(answer.tookMs < REFUSAL_LIMIT_MS);
        }
      const statuses = [...load.answers.values()]
        .flat()
        .map((answer) => (answer.kind === 'refused' ? answer.status : 0));
      const [away, gone] = [503, 401].map((status) => statuses.filter((one) => one === status).length);
      t.diagnostic(`while it was empty: ${away} refused with 503, ${gone} with 401, replays of before included`);
      const twice = [...load.answers.values()].filter((all) => all.filter(({ kind }) => kind === 'granted').length > 1);
      assert.equal(twice.length, 0);

      const startedAtMs = performance.now();
      await Promise.all(pair.map((one) => untilServing(one)));
      const next = await registerApp(b);
      t.diagnostic(`ready and registered ${Math.round(performance.now() - startedAtMs)} ms later; ${used.length} used`);
      for (const idproxy of pair) {
        const answer = await present(idproxy, next.sign());
        assert.equal(answer.kind, 'granted', JSON.stringify(answer));
        if (answer.kind === 'granted') assert.equal(await askUserInfo(a, answer.bearer), 200);
      }
    });
  }
});
