import { randomInt } from 'node:crypto';

import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';

import { COPY_LIFE_MS, type RecordKind, SAMPLE_COUNT, SLACK } from './growth-records.ts';

/** A key begins with two bytes of tag and one that tells its form; the rest is random. */
const HEAD_BYTES = 3;
const TAG_COUNT = 2 ** 16;
/** Tags whose records one transaction adds. */
const TAGS_AT_ONCE = 1_024;
/**
 * Records are added in the order of their keys, which is fast, and fills the pages of the file to the brim, as no real use does. So the
 * last part comes in a second pass, which splits nearly all of the pages that the first one filled.
 */
const PASSES = [0.77, 0.23] as const;
const BUSY_TIMEOUT_MS = 10_000;
const CACHE_KIB = 262_144;

/** Numbered samples of both kinds; a session is what has no time of its use. */
const SAMPLES = `
  CREATE TEMP TABLE IF NOT EXISTS samples AS
  SELECT * FROM (
    SELECT row_number() OVER (PARTITION BY used_at_ms IS NULL ORDER BY key) - 1 AS number,
      CASE WHEN used_at_ms IS NULL THEN 'session' ELSE 'jti' END AS kind, records.*
    FROM records) WHERE number < ${SAMPLE_COUNT}`;

/**
 * Copies of samples, numbers ?1 to ?2, with the tag ?3 or random ones, which live until ?4; only of kind ?5 where there is one.
 * @param inOrder - whether they are added in the order of their keys
 */
function toCopy(db: DatabaseSyncInstance, inOrder: boolean): string {
  const columns = (db.prepare('PRAGMA table_info(records)').all() as unknown as { name: string }[]).map(
    ({ name }) => name,
  );
  const toValue = (name: string): string => {
    if (name === 'expires_at_ms') return '?4';
    if (name !== 'key') return `samples.${name}`;
    const rest = `substr(samples.key, ${HEAD_BYTES}, 1) || randomblob(length(samples.key) - ${HEAD_BYTES})`;
    return `CAST(coalesce(?3, randomblob(${HEAD_BYTES - 1})) || ${rest} AS BLOB)`;
  };
  return `
    WITH RECURSIVE numbers (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?2)
    INSERT INTO records (${columns.join(', ')})
    SELECT ${columns.map(toValue).join(', ')} FROM numbers
    JOIN samples ON samples.number = n % (SELECT max(number) + 1 FROM samples) AND (?5 IS NULL OR kind = ?5)
    ${inOrder ? `ORDER BY ${columns.indexOf('key') + 1}` : ''}`;
}

function open(file: string): DatabaseSyncInstance {
  return new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
}

/** The one value that a statement asks for. */
function readNumber(db: DatabaseSyncInstance, sql: string): number {
  const row = db.prepare(sql).get() as Readonly<Record<string, number>> | undefined;
  return Object.values(row ?? {})[0] ?? NaN;
}

/** Runs `act` on the file while nobody else has it open: nothing is journaled, since a run that is broken off is thrown away. */
function withAlone<Result>(file: string, act: (db: DatabaseSyncInstance) => Result): Result {
  const db = open(file);
  try {
    db.exec(`PRAGMA journal_mode=OFF; PRAGMA cache_size=-${CACHE_KIB}; PRAGMA temp_store=MEMORY;`);
    db.exec(SAMPLES);
    db.exec('CREATE INDEX temp.samples_by_number ON samples (number)');
    if (readNumber(db, 'SELECT count(*) FROM samples') === 0) throw new Error('nothing was exchanged on this store');
    return act(db);
  } finally {
    db.close();
  }
}

const countExchanges = (db: DatabaseSyncInstance): number => readNumber(db, 'SELECT count(*) FROM records') / 2;

function readUsedBytes(db: DatabaseSyncInstance): number {
  const pageCount = readNumber(db, 'PRAGMA page_count') - readNumber(db, 'PRAGMA freelist_count');
  return pageCount * readNumber(db, 'PRAGMA page_size');
}

function addInOrder(db: DatabaseSyncInstance, count: number): void {
  const copy = db.prepare(toCopy(db, true));
  const endsAtMs = Date.now() + COPY_LIFE_MS;
  // Which tags get one more is not the same for each pass.
  const shift = randomInt(TAG_COUNT);
  const toTotal = (tag: number): number => Math.floor((tag * count + shift) / TAG_COUNT);
  const tagBytes = Buffer.alloc(2);
  for (let first = 0; first < TAG_COUNT; first += TAGS_AT_ONCE) {
    db.exec('BEGIN');
    for (let tag = first; tag < first + TAGS_AT_ONCE; tag += 1) {
      tagBytes.writeUInt16BE(tag);
      const [from, to] = [toTotal(tag), toTotal(tag + 1)];
      if (to > from) copy.run(from, to, tagBytes, endsAtMs, null);
    }
    db.exec('COMMIT');
  }
}

/** What is done to the file of an embedded store, on which something was exchanged already. Needs the idproxy to be stopped for all but `settle`. */
export const EMBEDDED_ACTS = {
  fill: (file: string, exchangeCount: number): void =>
    withAlone(file, (db) => {
      const missing = Math.round(exchangeCount - countExchanges(db));
      for (const share of missing > 0 ? PASSES : []) addInOrder(db, Math.round(missing * share));
    }),
  settle: (file: string, exchangeCount: number): void => {
    const db = open(file);
    const surplus = Math.round(countExchanges(db) - exchangeCount) * 2;
    const trim = db.prepare('DELETE FROM records WHERE key IN (SELECT key FROM records ORDER BY random() LIMIT ?)');
    if (surplus > exchangeCount * 2 * (SLACK - 1)) trim.run(surplus);
    db.exec('PRAGMA wal_checkpoint(PASSIVE)');
    db.close();
  },
  measureBytes: (file: string, count: number, kind: RecordKind): number =>
    withAlone(file, (db) => {
      const before = readUsedBytes(db);
      db.exec('BEGIN');
      db.prepare(toCopy(db, false)).run(0, count, null, Date.now() + COPY_LIFE_MS, kind);
      db.exec('COMMIT');
      return (readUsedBytes(db) - before) / count;
    }),
} as const;
