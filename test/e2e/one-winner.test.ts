import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { createClaims, signToken } from '../support/assertions.ts';
import { type CountersignProcess, type RedisProcess, startCountersign, startRedis } from '../support/processes.ts';

const ADMIN_TOKEN = 'the-admin-token-of-this-test-000';
const PROCESSES = 3;
const ASSERTIONS = 40;
/** Presentations of each assertion, spread over the processes. */
const PRESENTATIONS = 9;

/** What puts several idproxies on one store. */
const STORES: Readonly<Record<string, (redis: RedisProcess) => Record<string, string>>> = {
  'one SQLite file': () => ({}),
  'one Redis': ({ url }) => ({ COUNTERSIGN_REDIS_URL: url }),
};

for (const [name, toEnvironment] of Object.entries(STORES)) {
  describe(`the same assertion at ${PROCESSES} processes on ${name}`, () => {
    let redis: RedisProcess;
    const idproxies: CountersignProcess[] = [];

    before(async () => {
      redis = await startRedis();
      const shared = { COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN, COUNTERSIGN_LOG_LEVEL: 'warn', ...toEnvironment(redis) };
      const first = await startCountersign(['idproxy'], shared);
      idproxies.push(first);
      const folders = { COUNTERSIGN_DATA_DIR: first.dataDir, COUNTERSIGN_KEYS_DIR: first.keysDir };
      while (idproxies.length < PROCESSES)
        idproxies.push(await startCountersign(['idproxy'], { ...shared, ...folders }));
    });
    after(async () => {
      for (const idproxy of idproxies.toReversed()) await idproxy.stop();
      await redis.stop();
    });

    const present = async (assertion: string, index: number): Promise<{ status: number; text: string }> => {
      const { idproxyUrl } = idproxies[index % PROCESSES] as CountersignProcess;
      const response = await fetch(`${idproxyUrl}/authorize`, {
        method: 'POST',
        body: new URLSearchParams({ assertion }),
      });
      return { status: response.status, text: await response.text() };
    };

    test(`${ASSERTIONS} assertions, each presented ${PRESENTATIONS} times at once: one grant each`, async () => {
      const created = await fetch(`${idproxies[0]?.idproxyUrl}/admin/apps`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'Race', algorithm: 'HS256' }),
      });
      const { clientId, clientSecret } = (await created.json()) as { clientId: string; clientSecret: string };
      const assertions = Array.from({ length: ASSERTIONS }, () =>
        signToken({ alg: 'HS256', typ: 'JWT' }, createClaims(clientId, Date.now() / 1000), 'HS256', clientSecret),
      );
      const winners = new Set<number>();
      for (const assertion of assertions) {
        const answers = await Promise.all(
          Array.from({ length: PRESENTATIONS }, (_, index) => present(assertion, index)),
        );
        const granted = answers.flatMap(({ status }, index) => (status === 200 ? [index % PROCESSES] : []));
        assert.equal(granted.length, 1, JSON.stringify(answers));
        winners.add(granted[0] as number);
        for (const { status, text } of answers.filter((answer) => answer.status !== 200)) {
          assert.equal(status, 401);
          assert.equal(text, '{"errors":[{"msg":"error verifying the jwt: possibly a replay","code":401}]}');
        }
      }
      // The race was one: no process won every time.
      assert.ok(winners.size > 1, `winners: ${[...winners].join(', ')}`);
    });
  });
}
