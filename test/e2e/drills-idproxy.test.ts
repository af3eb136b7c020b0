import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import {
  assertUnharmed,
  askUserInfo,
  describeResult,
  LOAD_ENVIRONMENT,
  present,
  type Presented,
  REFUSAL_LIMIT_MS,
  registerApp,
  settle,
  startLoad,
  untilServing,
} from '../support/exchange-load.ts';
import { createTempFolder, startCountersign, startRedis } from '../support/processes.ts';
import { createSteppedClock } from '../support/stepped-clock.ts';

const HOUR = 3_600;

type Environment = Readonly<Record<string, string>>;

/** What an idproxy keeps its records in. */
const STORES: Readonly<Record<string, (t: TestContext) => Promise<Environment>>> = {
  SQLite: async () => ({}),
  Redis: async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    return { COUNTERSIGN_REDIS_URL: redis.url };
  },
};

/** Folders that outlive a process, for the environment of each. */
async function useFolders(t: TestContext): Promise<{ COUNTERSIGN_DATA_DIR: string; COUNTERSIGN_KEYS_DIR: string }> {
  const folder = await createTempFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  return { COUNTERSIGN_DATA_DIR: join(folder, 'data'), COUNTERSIGN_KEYS_DIR: join(folder, 'keys') };
}

for (const [store, open] of Object.entries(STORES)) {
  test(`an idproxy on ${store} is killed under load: no assertion has two grants, no acknowledged bearer is lost`, async (t) => {
    const env = { ...LOAD_ENVIRONMENT, ...(await useFolders(t)), ...(await open(t)) };
    const first = await startCountersign(['idproxy'], env);
    await untilServing(first);
    const app = await registerApp(first);
    const load = startLoad([first], app);
    await load.until(() => load.count('granted') > 300, 'the load is on');
    await first.kill();
    await load.until(() => load.count('broken') > 24, 'every client has lost its connection');
    await load.stop();

    const next = await startCountersign(['idproxy'], env);
    t.after(() => next.stop());
    await untilServing(next);
    const result = await settle(load, next);
    t.diagnostic(describeResult(result));
    // What is in flight at that moment is up to chance here; `drills-kill.test.ts` sees to it.
    assertUnharmed(result);
  });
}

test('the disk is full under SQLite: refused with 503 in time, nothing forgotten, served again by itself', async (t) => {
  const env = { ...LOAD_ENVIRONMENT, ...(await useFolders(t)) };
  const idproxy = await startCountersign(['idproxy'], env);
  t.after(() => idproxy.stop());
  const app = await registerApp(idproxy);
  const limitFiles = (limit: string): void => {
    const { status, stderr } = spawnSync('prlimit', ['--pid', String(idproxy.pid), `--fsize=${limit}:unlimited`]);
    assert.equal(status, 0, String(stderr));
  };
  const load = startLoad([idproxy], app);
  try {
    await load.until(() => load.count('granted') > 200, 'the load is on');
    const { size } = await stat(join(env.COUNTERSIGN_DATA_DIR, 'countersign.db-wal'));
    limitFiles(String(size + 65_536));
    const refused = load.count('refused');
    await load.until(() => load.count('refused') > refused + 200, 'exchanges are refused');
    const ready = await fetch(`${idproxy.idproxyUrl}/readyz`);
    t.diagnostic(`readiness on a full disk: ${ready.status} ${await ready.text()}`);
    limitFiles('unlimited');
    const granted = load.count('granted');
    await load.until(() => load.count('granted') > granted + 200, 'exchanges are granted again');
  } finally {
    limitFiles('unlimited');
    await load.stop();
  }
  const result = await settle(load, idproxy);
  t.diagnostic(describeResult(result));
  assertUnharmed(result);
  assert.equal(load.count('broken'), 0, 'a client was left without an answer');
});

describe('an idproxy whose wall clock is stepped', () => {
  /** An idproxy with a clock that can be set, and what it says to an assertion. */
  const startStepped = async (t: TestContext, env: Environment) => {
    const clock = await createSteppedClock();
    t.after(() => clock.remove());
    const idproxy = await startCountersign(['idproxy'], { ...LOAD_ENVIRONMENT, ...env, ...clock.env });
    t.after(() => idproxy.stop());
    await untilServing(idproxy);
    return { idproxy, step: clock.set };
  };
  const expectBearer = (answer: Presented): string => {
    assert.ok(answer.kind === 'granted', JSON.stringify(answer));
    return answer.bearer;
  };

  for (const [name, seconds] of Object.entries({ ahead: HOUR, back: -HOUR })) {
    test(`an hour ${name} on SQLite: used assertions stay used, fresh ones wait, all is well when it is right`, async (t) => {
      const { idproxy, step } = await startStepped(t, {});
      const app = await registerApp(idproxy);
      const [used, fresh] = [app.sign(), app.sign()];
      const bearer = expectBearer(await present(idproxy, used));
      await step(seconds);
      for (const assertion of [used, fresh]) {
        const answer = await present(idproxy, assertion);
        assert.ok(answer.kind === 'refused' && answer.status === 401, JSON.stringify(answer));
        assert.ok(answer.tookMs < REFUSAL_LIMIT_MS);
      }
      const now = Date.now() / 1000 + seconds;
      const ofThatClock = app.sign({ iat: Math.floor(now), exp: Math.floor(now) + 300 });
      expectBearer(await present(idproxy, ofThatClock));
      await step(0);
      for (const assertion of [used, ofThatClock]) {
        const answer = await present(idproxy, assertion);
        assert.ok(answer.kind === 'refused' && answer.status === 401, JSON.stringify(answer));
      }
      assert.equal(await askUserInfo(idproxy, bearer), 200);
      expectBearer(await present(idproxy, fresh));
      assert.equal((await present(idproxy, fresh)).kind, 'refused');
    });

    test(`an hour ${name} beside Redis: refused with 503 until it is right, and served then`, async (t) => {
      const redis = await startRedis();
      t.after(() => redis.stop());
      const { idproxy, step } = await startStepped(t, { COUNTERSIGN_REDIS_URL: redis.url });
      const app = await registerApp(idproxy);
      const [used, fresh] = [app.sign(), app.sign()];
      const bearer = expectBearer(await present(idproxy, used));
      await step(seconds);
      // Good by that clock: the store is asked for it.
      const now = Date.now() / 1000 + seconds;
      const answer = await present(idproxy, app.sign({ iat: Math.floor(now), exp: Math.floor(now) + 300 }));
      assert.ok(answer.kind === 'refused' && answer.status === 503, JSON.stringify(answer));
      assert.ok(answer.tookMs < REFUSAL_LIMIT_MS);
      const ready = await fetch(`${idproxy.idproxyUrl}/readyz`);
      assert.equal(ready.status, 503);
      assert.match(await ready.text(), /the clock here is/);
      for (const assertion of [used, fresh]) assert.equal((await present(idproxy, assertion)).kind, 'refused');
      await step(0);
      await untilServing(idproxy);
      assert.equal((await present(idproxy, used)).kind, 'refused');
      assert.equal(await askUserInfo(idproxy, bearer), 200);
      expectBearer(await present(idproxy, fresh));
    });
  }
});
