import { randomBytes } from 'node:crypto';

import type { Redis } from 'ioredis';

import { COPY_LIFE_MS, type LiveRecords, type RecordKind, SAMPLE_COUNT, SLACK } from './growth-records.ts';

/** Exchanges that one script adds or keys that one takes away, so that it is over in a fraction of a second. */
const AT_ONCE = 10_000;

/** Names of records: a tag of four hexadecimal digits in braces, and in the end something random. */
const RECORD_NAME = /\{[0-9a-f]{4}\}.*?[\w-]{20,}$/;
const toKind = (name: string): RecordKind => (name.includes(':ses:') ? 'session' : 'jti');

/**
 * Copies records. KEYS: samples, in groups that belong together. ARGV: something random; number of the first copy; how many groups to
 * copy; size of a group; life in ms. The copies of a group share a tag. A name ends in the hash of its number, cut to the length that
 * names of its form have.
 */
const COPY = `
  local random, from, count, size, life_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
  local forms = {}
  for i, key in ipairs(KEYS) do
    local head, middle, tail = string.match(key, '^(.*{)%x%x%x%x(}.-)([%w_-]+)$')
    forms[i] = { key = key, head = head, middle = middle, length = #tail }
  end
  local groups = #KEYS / size
  for number = from, from + count - 1 do
    local hash = redis.sha1hex(random .. number)
    local tag, tail = string.sub(hash, -4), hash .. hash
    for i = 1, size do
      local form = forms[number % groups * size + i]
      local name = form.head .. tag .. form.middle .. string.sub(tail, 1, form.length)
      redis.call('COPY', form.key, name)
      redis.call('PEXPIRE', name, life_ms)
    end
  end
`;

/** Takes random records away. ARGV: how many keys may stay, and how many are looked at. @returns how many there are now */
const TRIM = `
  for _ = 1, ARGV[2] do
    if redis.call('DBSIZE') <= tonumber(ARGV[1]) then break end
    local key = redis.call('RANDOMKEY')
    if string.match(key, '{%x%x%x%x}') then redis.call('DEL', key) end
  end
  return redis.call('DBSIZE')
`;

/** How many keys are no records. For a server with few keys. */
async function countOthers(redis: Redis): Promise<number> {
  return (await redis.keys('*')).filter((name) => !RECORD_NAME.test(name)).length;
}

/** Any records will do, copies too. @throws Error where there are none of one kind */
async function findSamples(redis: Redis): Promise<Record<RecordKind, string[]>> {
  const samples: Record<RecordKind, string[]> = { jti: [], session: [] };
  let cursor = '0';
  do {
    const [next, names] = await redis.scan(cursor, 'COUNT', 1_000);
    cursor = next;
    for (const name of names) if (RECORD_NAME.test(name)) samples[toKind(name)].push(name);
  } while (cursor !== '0' && Math.min(samples.jti.length, samples.session.length) < SAMPLE_COUNT);
  const count = Math.min(samples.jti.length, samples.session.length, SAMPLE_COUNT);
  if (count === 0) throw new Error('nothing was exchanged on this redis');
  return { jti: samples.jti.slice(0, count), session: samples.session.slice(0, count) };
}

/** A figure of `INFO`. @throws Error where the server does not tell it */
export async function readRedisInfo(redis: Redis, name: string): Promise<number> {
  const value = new RegExp(`^${name}:(\\d+)`, 'm').exec(await redis.info())?.[1];
  if (value === undefined) throw new Error(`redis does not say ${name}`);
  return Number(value);
}

/** The records of a Redis in which something was exchanged already, and not much yet. */
export async function openRedisRecords(redis: Redis): Promise<LiveRecords> {
  const otherCount = await countOthers(redis);
  const random = randomBytes(8).toString('hex');
  let copiedCount = 0;

  const copy = async (groups: readonly (readonly string[])[], count: number): Promise<void> => {
    const keys = groups.flat();
    const size = groups[0]?.length ?? 1;
    for (let left = count; left > 0; left -= AT_ONCE) {
      const few = Math.min(left, AT_ONCE);
      await redis.eval(COPY, keys.length, ...keys, random, copiedCount, few, size, COPY_LIFE_MS);
      copiedCount += few;
    }
  };
  const countExchanges = async (): Promise<number> => ((await redis.dbsize()) - otherCount) / 2;

  return {
    isFilledAlone: false,
    fill: async (exchangeCount) => {
      const { jti, session } = await findSamples(redis);
      const pairs = jti.map((name, at) => [name, session[at] ?? name]);
      await copy(pairs, Math.max(0, Math.round(exchangeCount - (await countExchanges()))));
    },
    settle: async (exchangeCount) => {
      if ((await countExchanges()) <= exchangeCount * SLACK) return;
      const most = exchangeCount * 2 + otherCount;
      while (Number(await redis.eval(TRIM, 0, most, AT_ONCE)) > most);
    },
    measureBytes: async (kind, count) => {
      const groups = (await findSamples(redis))[kind].map((name) => [name]);
      const before = await readRedisInfo(redis, 'used_memory');
      await copy(groups, count);
      return ((await readRedisInfo(redis, 'used_memory')) - before) / count;
    },
  };
}
