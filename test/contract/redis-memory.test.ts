import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Redis } from 'ioredis';

import { REPLAY_KEY_FORMATS, toTag } from '../../src/idproxy/replay-key.ts';
import type { ExchangeAttempt, Store } from '../../src/stores/ports.ts';
import { toReplayKey } from '../../src/stores/redis-keys.ts';
import { startRedis, type RedisProcess } from '../support/processes.ts';
import { createAttempt, createIdentity } from './attempts.ts';
import { openStoreOn } from './redis-backend.ts';

const COUNT = 30_000;
const GROUP = 500;
const RECORD_LIMIT_BYTES = 130;
const SESSION_LIMIT_BYTES = 500;
const SESSION_VALUE = 'x'.repeat(250);
const CLIENT_ID = 'cs-1';

describe('what a Redis needs for the records of exchanges', () => {
  let redis: RedisProcess;
  let direct: Redis;
  let store: Store;
  const identity = createIdentity();

  before(async () => {
    redis = await startRedis();
    direct = new Redis(redis.url);
    store = await openStoreOn(redis.url);
  });
  after(async () => {
    direct?.disconnect();
    await store?.close();
    await redis?.stop();
  });

  const readUsedBytes = async (): Promise<number> =>
    Number(/^used_memory:(\d+)/m.exec(await direct.info('memory'))?.[1]);
  const fill = async (toOne: () => ExchangeAttempt): Promise<void> => {
    for (let count = 0; count < COUNT; count += GROUP) {
      const outcomes = await Promise.all(Array.from({ length: GROUP }, () => store.sessions.exchange(toOne())));
      assert.ok(outcomes.every(({ kind }) => kind === 'granted'));
    }
  };
  const toBearerHash = (): string => createHash('sha256').update(randomUUID()).digest('base64url');
  /** An exchange as the service makes it. */
  const toAttempt = (reuseWindowMs = 0): ExchangeAttempt => {
    const jti = randomUUID();
    const replay = { key: REPLAY_KEY_FORMATS.current(CLIENT_ID, jti), reuseWindowMs };
    return createAttempt({
      tag: toTag(CLIENT_ID, jti),
      sessionKey: toBearerHash(),
      replay,
      identity,
      body: SESSION_VALUE,
    });
  };

  test('key, value, expiry and tables: a session, and a replay record', async (t) => {
    const empty = await readUsedBytes();
    await fill(() => createAttempt({ sessionKey: toBearerHash(), replay: null, identity, body: SESSION_VALUE }));
    const withSessions = await readUsedBytes();
    await direct.flushall();
    await fill(() => toAttempt());
    const sessionBytes = (withSessions - empty) / COUNT;
    const recordBytes = ((await readUsedBytes()) - withSessions) / COUNT;
    t.diagnostic(`a session takes ${sessionBytes.toFixed(1)} B, a replay record ${recordBytes.toFixed(1)} B`);
    assert.ok(sessionBytes <= SESSION_LIMIT_BYTES, `${sessionBytes} B`);
    assert.ok(recordBytes <= RECORD_LIMIT_BYTES, `${recordBytes} B`);
  });

  test('a record is a small number under a key of 28 bytes; attempt and time of the first use are there for a reuse window alone', async () => {
    const keyOf = ({ tag, replay }: ExchangeAttempt): string => toReplayKey(tag, replay?.key ?? '');
    const [plain, windowed] = [toAttempt(), toAttempt(60_000)];
    for (const attempt of [plain, windowed]) await store.sessions.exchange(attempt);
    assert.match(keyOf(plain), /^cs\{[0-9a-f]{4}\}[\w-]{20}$/);
    assert.match((await direct.get(keyOf(plain))) ?? '', /^[1-9]\d{0,3}$/);
    assert.equal(await direct.object('ENCODING', keyOf(plain)), 'int');
    assert.match((await direct.get(keyOf(windowed))) ?? '', /^[\w-]{11}\d+ \d{13}$/);
    await store.sessions.exchange(windowed);
    assert.match((await direct.get(keyOf(windowed))) ?? '', /^- \d{13}$/);
  });

  test('names that are nearly of the present form never meet one that is', async () => {
    const name = REPLAY_KEY_FORMATS.current(CLIENT_ID, randomUUID());
    const near = [name, `${name}a`, name.slice(0, -1), name.slice(7), `${name.slice(0, -1)} `, `x${name}`, `:${name}`];
    const keys = near.flatMap((one) => ['0a1b', '0a1c'].map((tag) => toReplayKey(tag, one)));
    assert.equal(new Set(keys).size, keys.length);
  });
});
