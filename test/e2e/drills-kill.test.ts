import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

import { DatabaseSync } from '@photostructure/sqlite';
import { Redis } from 'ioredis';

import { LOAD_ENVIRONMENT, present, type Presented, registerApp, untilServing } from '../support/exchange-load.ts';
import { type CountersignProcess, createTempFolder, startCountersign, startRedis } from '../support/processes.ts';
import { startSwallowingProxy } from '../support/swallowing-proxy.ts';

/**
 * An idproxy is killed with -9 while one assertion is verified and not answered, at a moment that is held still from outside: by the
 * network between it and Redis, by a lock on its file, by the network between it and its client.
 */

/** Longer than a command that was given up may still come to run, in milliseconds. */
const PAST_DEADLINE_MS = 1_500;
const PATIENCE_MS = 10_000;
/** Numbers of the system calls that a thread sleeps in: SQLite does while a file is locked. */
const SLEEPS: ReadonlySet<string> = new Set(process.arch === 'arm64' ? ['101', '115'] : ['35', '230']);

const untilTrue = async (isIt: () => boolean | Promise<boolean>, what: string): Promise<void> => {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isIt())) {
    assert.ok(performance.now() < deadline, what);
    await wait(2);
  }
};

/** An idproxy whose folders outlive it, an app of it, and what a later one says to an assertion. */
async function startDrill(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  const folder = await createTempFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  const folders = { COUNTERSIGN_DATA_DIR: join(folder, 'data'), COUNTERSIGN_KEYS_DIR: join(folder, 'keys') };
  const idproxy = await startCountersign(['idproxy'], { ...LOAD_ENVIRONMENT, ...folders, ...env });
  t.after(() => idproxy.stop());
  await untilServing(idproxy);
  const app = await registerApp(idproxy);
  // It has the app in memory then: nothing but the exchange itself asks the store.
  assert.equal((await present(idproxy, app.sign())).kind, 'granted');
  return {
    idproxy,
    app,
    file: join(folder, 'data', 'countersign.db'),
    startAgain: async (next: Readonly<Record<string, string>> = {}): Promise<CountersignProcess> => {
      const again = await startCountersign(['idproxy'], { ...LOAD_ENVIRONMENT, ...folders, ...env, ...next });
      t.after(() => again.stop());
      await untilServing(again);
      return again;
    },
  };
}

/** Presents an assertion and kills the idproxy when it `isHeld`, before anybody was answered. */
async function killWhile(
  idproxy: CountersignProcess,
  presented: Promise<Presented>,
  isHeld: () => boolean | Promise<boolean>,
) {
  let answer: Presented | undefined;
  void presented.then((settled) => (answer = settled));
  await untilTrue(async () => answer !== undefined || (await isHeld()), 'it comes that far');
  assert.equal(answer, undefined, 'it was answered before it was held');
  await idproxy.kill();
  assert.equal((await presented).kind, 'broken', 'nobody was answered');
}

const expectSpent = async (idproxy: CountersignProcess, assertion: string): Promise<void> => {
  const answer = await present(idproxy, assertion);
  assert.ok(answer.kind === 'refused' && answer.status === 401, JSON.stringify(answer));
  assert.match(answer.text, /possibly a replay/);
};
const expectGrantedOnce = async (idproxy: CountersignProcess, assertion: string): Promise<void> => {
  assert.equal((await present(idproxy, assertion)).kind, 'granted');
  await expectSpent(idproxy, assertion);
};

/** A Redis, an idproxy that reaches it through a proxy, and who asks Redis itself. */
async function startOnRedis(t: TestContext) {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const proxy = await startSwallowingProxy(Number(new URL(redis.url).port));
  t.after(() => proxy.stop());
  const direct = new Redis(redis.url);
  t.after(() => direct.disconnect());
  const drill = await startDrill(t, { COUNTERSIGN_REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
  return {
    ...drill,
    proxy,
    /** Assertions that were used beside the first. */
    records: async (): Promise<number> => (await direct.keys('cs{*}*')).length - 1,
    startAgain: () => drill.startAgain({ COUNTERSIGN_REDIS_URL: redis.url }),
  };
}

test('killed when Redis has granted and its answer is on the way: the assertion is spent', async (t) => {
  const { idproxy, app, proxy, records, startAgain } = await startOnRedis(t);
  const assertion = app.sign();
  assert.equal(await records(), 0);
  proxy.swallowAfter(0);
  await killWhile(idproxy, present(idproxy, assertion), async () => (await records()) === 1);
  await expectSpent(await startAgain(), assertion);
});

for (const [name, release] of Object.entries({
  'and never reaches it': false,
  'and reaches it when it is too late': true,
})) {
  test(`killed when the exchange is on its way to Redis ${name}: granted later, once`, async (t) => {
    const { idproxy, app, proxy, records, startAgain } = await startOnRedis(t);
    const assertion = app.sign();
    proxy.holdRequests();
    await killWhile(idproxy, present(idproxy, assertion), () => proxy.holds('jti:v1:'));
    if (release) {
      await wait(PAST_DEADLINE_MS);
      proxy.releaseRequests();
      await wait(100);
    }
    assert.equal(await records(), 0, 'nothing was granted to the dead');
    await expectGrantedOnce(await startAgain(), assertion);
  });
}

test('killed while it waits for the lock on its file: granted later, once', async (t) => {
  const { idproxy, app, file, startAgain } = await startDrill(t);
  const assertion = app.sign();
  const holder = new DatabaseSync(file);
  t.after(() => holder.close());
  holder.exec('BEGIN IMMEDIATE');
  const isAsleep = async (): Promise<boolean> =>
    SLEEPS.has((await readFile(`/proc/${idproxy.pid}/syscall`, 'utf8')).split(' ')[0] ?? '');
  await killWhile(idproxy, present(idproxy, assertion), isAsleep);
  holder.exec('ROLLBACK');
  await expectGrantedOnce(await startAgain(), assertion);
});

test('killed when its file has the grant and the answer is on the way to the client: the assertion is spent', async (t) => {
  const { idproxy, app, startAgain } = await startDrill(t);
  const assertion = app.sign();
  const proxy = await startSwallowingProxy(idproxy.idproxyPort);
  t.after(() => proxy.stop());
  proxy.swallowAfter(0);
  const behind = { ...idproxy, idproxyUrl: `http://127.0.0.1:${proxy.port}` };
  await killWhile(idproxy, present(behind, assertion), () => proxy.swallowedBytes() > 0);
  await expectSpent(await startAgain(), assertion);
});
