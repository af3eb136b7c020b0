import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import {
  compareNames,
  parseFileName,
  toDay,
  toFileName,
  type ZoneOffset,
} from '../../../../src/connector/logs/log-day.ts';
import { listLogFiles, type LogEntry } from '../../../../src/connector/logs/log-folder.ts';
import { createLogFile, type LogFile, type LogFileOptions } from '../../../../src/connector/logs/log-file.ts';
import { toRetention } from '../../../../src/connector/logs/log-limits.ts';
import { createFakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { createTempFolder } from '../../../support/processes.ts';

/** 2026-11-20T22:00:00Z. */
const AT = 1_795_212_000;
const DAY = 86_400;
const PREFIX = 'kore-connector.log';
const utc: ZoneOffset = () => 0;

let root: string;
let folder: string;
let clock: FakeClock;
let count = 0;
before(async () => (root = await createTempFolder()));
after(() => rm(root, { recursive: true }));
beforeEach(() => {
  folder = join(root, `logs-${++count}`);
  clock = createFakeClock(AT);
});

const LARGE = { maxFileBytes: 1_000, maxTotalBytes: 100_000, maxAgeDays: 365 };
const open = (more: Partial<LogFileOptions> = {}, zone = utc): LogFile =>
  createLogFile({ folder, prefix: PREFIX, mode: 0o640, ...LARGE, ...more }, { clock, zone });
const names = async (): Promise<string[]> => (await readdir(folder)).toSorted();
const sumSizes = async (prefix: string): Promise<number> =>
  (await listLogFiles(folder, prefix)).reduce((sum, { bytes }) => sum + bytes, 0);
const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');

describe('names of log files', () => {
  const DAYS: Readonly<Record<string, readonly [zone: number, day: string]>> = {
    'in UTC': [0, '2026-11-20'],
    'east of it, where the next day has begun': [-330, '2026-11-21'],
    'west of it': [480, '2026-11-20'],
    'at the very hour of midnight': [-120, '2026-11-21'],
    'one minute before': [-119, '2026-11-20'],
  };
  for (const [name, [zone, day]] of Object.entries(DAYS)) {
    it(`the day ${name}`, () => assert.equal(toDay(AT, () => zone), day)); // prettier-ignore
  }

  it('are the seed’s', () =>
    assert.equal(toFileName(PREFIX, { day: '2026-11-20', number: 0 }), 'kore-connector.log.20-11-2026'));

  it('are read back and sorted by day, then by number', () => {
    const given = ['01-12-2026', '30-11-2026.10', '30-11-2026.2', '30-11-2026', '31-12-2025'];
    const parsed = given.map((day) => parseFileName(PREFIX, `${PREFIX}.${day}`)).filter((name) => name !== undefined);
    const sorted = parsed.toSorted(compareNames).map((name) => toFileName('x', name).slice(2));
    assert.deepEqual(sorted, given.toReversed());
  });

  for (const other of ['', '.gz', '.0', '.01', '.bak', '.1.gz', '~']) {
    it(`not ${JSON.stringify(other)} behind them`, () => {
      const expected = other === '' ? { day: '2026-11-20', number: 0 } : undefined;
      assert.deepEqual(parseFileName(PREFIX, `${PREFIX}.20-11-2026${other}`), expected);
    });
  }

  it('of another log are left alone', () => {
    assert.equal(parseFileName('kore-connector', 'kore-connector.log.20-11-2026'), undefined);
  });
});

describe('a log file', () => {
  it('lies in a folder and has a mode that keep others out', async () => {
    const file = open();
    await file.append('one\n');
    await file.close();
    assert.equal((await stat(folder)).mode & 0o777, 0o750);
    assert.equal((await stat(join(folder, `${PREFIX}.20-11-2026`))).mode & 0o777, 0o640);
  });

  it('is another one the next day', async () => {
    const file = open();
    await file.append('one\n');
    clock.set(AT + 2 * 3_600);
    await file.append('two\n');
    await file.close();
    assert.deepEqual(await names(), [`${PREFIX}.20-11-2026`, `${PREFIX}.21-11-2026`]);
    assert.equal(await read(`${PREFIX}.21-11-2026`), 'two\n');
  });

  it('is another one when it is full, after a restart too', async () => {
    const file = open({ maxFileBytes: 8 });
    for (const text of ['first\n', 'second\n', 'third\n']) await file.append(text);
    await file.close();
    const again = open({ maxFileBytes: 8 });
    await again.append('fourth\n');
    await again.close();
    assert.deepEqual(await names(), [`${PREFIX}.20-11-2026`, `${PREFIX}.20-11-2026.1`]);
    assert.equal(await read(`${PREFIX}.20-11-2026`), 'first\nsecond\n');
    assert.equal(await read(`${PREFIX}.20-11-2026.1`), 'third\nfourth\n');
  });

  it('goes on where it was when the clock is set back', async () => {
    const file = open();
    await file.append('one\n');
    clock.set(AT - 3 * DAY);
    await file.append('two\n');
    await file.close();
    const again = open();
    await again.append('three\n');
    await again.close();
    assert.deepEqual(await names(), [`${PREFIX}.20-11-2026`]);
    assert.equal(await read(`${PREFIX}.20-11-2026`), 'one\ntwo\nthree\n');
  });

  it('is made again when somebody moves it away', async () => {
    const file = open();
    await file.append('one\n');
    await rename(join(folder, `${PREFIX}.20-11-2026`), join(folder, 'kept'));
    clock.set(AT + 2);
    await file.append('two\n');
    await file.close();
    assert.equal(await read('kept'), 'one\n');
    assert.equal(await read(`${PREFIX}.20-11-2026`), 'two\n');
  });

  it('the oldest are removed when all are too large, never the open one or a stranger', async () => {
    await mkdir(folder, { recursive: true });
    for (const day of ['17', '18', '19']) await writeFile(join(folder, `${PREFIX}.${day}-11-2026`), 'x'.repeat(100));
    await writeFile(join(folder, 'notes.txt'), 'x'.repeat(10_000));
    const removed: LogEntry[] = [];
    const file = open({ maxFileBytes: 50, maxTotalBytes: 200, onRemoved: (files) => removed.push(...files) });
    await file.append('y'.repeat(500));
    await file.close();
    assert.deepEqual(await names(), [`${PREFIX}.19-11-2026`, `${PREFIX}.20-11-2026`, 'notes.txt']);
    assert.deepEqual(removed.map(({ name }) => name), [`${PREFIX}.17-11-2026`, `${PREFIX}.18-11-2026`]); // prettier-ignore
  });

  it('those beyond the age are removed', async () => {
    await mkdir(folder, { recursive: true });
    for (const day of ['17', '18', '19']) await writeFile(join(folder, `${PREFIX}.${day}-11-2026`), 'x');
    const file = open({ maxAgeDays: 2 });
    await file.append('y');
    await file.close();
    assert.deepEqual(await names(), [`${PREFIX}.18-11-2026`, `${PREFIX}.19-11-2026`, `${PREFIX}.20-11-2026`]);
  });

  it('both logs together stay below 5 GB unless they are configured, whatever lies there', async () => {
    await mkdir(folder, { recursive: true });
    let largest = 0;
    for (const kind of ['app', 'audit'] as const) {
      const retention = toRetention(kind, {});
      const prefix = `kore-connector-${kind}.log`;
      const toName = (day: number, number: number): string =>
        join(folder, toFileName(prefix, { day: toDay(AT - day * DAY, utc), number }));
      // Twice as much as there may be: full files of many days, without taking the disk's room.
      const count = Math.ceil((2 * retention.maxTotalBytes) / retention.maxFileBytes);
      for (let at = 0; at < count; at++) {
        await writeFile(toName(1 + (at >> 1), at & 1), '');
        await truncate(toName(1 + (at >> 1), at & 1), retention.maxFileBytes);
      }
      const file = createLogFile({ folder, prefix, mode: 0o640, ...retention }, { clock, zone: utc });
      let most = 0;
      for (let day = 0; day < 3; day++) {
        for (let number = 0; number < 3; number++) {
          await file.append('the first line of a new file\n');
          // Full but for one byte: the next line is the last that goes into it.
          await truncate(toName(-day, number), retention.maxFileBytes - 1);
          await file.close();
          await file.append('the last line of a full file\n');
          most = Math.max(most, await sumSizes(prefix));
        }
        clock.set(AT + (day + 1) * DAY);
      }
      await file.close();
      clock.set(AT);
      largest += most;
    }
    assert.ok(largest > 3_000_000_000, `${largest} bytes: the test must fill the logs`);
    assert.ok(largest < 5_000_000_000, `${largest} bytes`);
  });
});

describe('a full disk', () => {
  let disk: string;
  before(async () => {
    disk = join(root, 'disk');
    await mkdir(disk);
    // Where nobody may mount, as in a container without rights, the test fails: it is not to be missed silently.
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]);
  });
  after(() => execFileSync('umount', [disk]));

  it('leaves no half line, and what could not be written is written later', async () => {
    await writeFile(join(disk, 'ballast'), Buffer.alloc(32_768));
    folder = join(disk, 'logs');
    const file = open({ maxFileBytes: 1_000_000, maxTotalBytes: 10_000_000 });
    await file.append(`${'a'.repeat(9_999)}\n`);
    const large = `${'b'.repeat(39_999)}\n`;
    await assert.rejects(file.append(large), { code: 'ENOSPC' });
    assert.equal((await read(`${PREFIX}.20-11-2026`)).length, 10_000);
    await assert.rejects(file.append(large), { code: 'ENOSPC' });
    await rm(join(disk, 'ballast'));
    await file.append(large);
    await file.close();
    assert.equal(await read(`${PREFIX}.20-11-2026`), `${'a'.repeat(9_999)}\n${large}`);
  });
});
