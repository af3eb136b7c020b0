import assert from 'node:assert/strict';
import { appendFile, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { linkEntry } from '../../../../src/connector/logs/audit-chain.ts';
import type { AuditEntry } from '../../../../src/connector/logs/audit-entry.ts';
import { type AuditLog, openAuditLog, toAuditText } from '../../../../src/connector/logs/audit-log.ts';
import { verifyAudit, type VerifyOptions } from '../../../../src/connector/logs/audit-verify.ts';
import { listLogFiles } from '../../../../src/connector/logs/log-folder.ts';
import { createLogFile, type LogFile, type LogFileOptions } from '../../../../src/connector/logs/log-file.ts';
import { createFakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { createTempFolder } from '../../../support/processes.ts';

const AT = 1_795_212_000;
const PREFIX = 'kore-connector-audit.log';

let root: string;
let folder: string;
let clock: FakeClock;
let said: string[];
let count = 0;
before(async () => (root = await createTempFolder()));
after(() => rm(root, { recursive: true }));
beforeEach(() => {
  folder = join(root, `audits-${++count}`);
  clock = createFakeClock(AT);
  said = [];
});

const say = (message: string): void => void said.push(message);
const create = (options: LogFileOptions): LogFile => createLogFile(options, { clock, zone: () => 0 });
const open = (more: Partial<LogFileOptions> = {}, createFile = create): Promise<AuditLog> =>
  openAuditLog(
    { folder, prefix: PREFIX, mode: 0o600, maxFileBytes: 100_000, maxTotalBytes: 1_000_000, maxAgeDays: 365, ...more },
    createFile,
    { clock, log: { critical: say, warn: say, info: say }, retryMs: 5 },
  );
const toText = (entry: AuditEntry): string => toAuditText({ at: '2026-11-20T22:00:00.000Z', ...entry });

/** Appends entries, each in a write of its own, and closes. */
async function write(numbers: readonly number[], more: Partial<LogFileOptions> = {}): Promise<void> {
  const audit = await open(more);
  for (const n of numbers) {
    audit.append([toText({ kind: 'request', which: n })]);
    assert.equal(await audit.flush(5_000), true);
  }
  await audit.close();
}

const paths = async (): Promise<string[]> => (await listLogFiles(folder, PREFIX)).map(({ path }) => path);
const verify = async (options?: VerifyOptions) => verifyAudit(await paths(), options);
const only = (): string => join(folder, `${PREFIX}.20-11-2026`);
const readLines = async (): Promise<string[]> => (await readFile(only(), 'utf8')).trimEnd().split('\n');
const writeLines = (lines: readonly string[]): Promise<void> => writeFile(only(), `${lines.join('\n')}\n`);

describe('the audit log', () => {
  it('is one chain over days, full files and restarts', async () => {
    await write([1, 2, 3], { maxFileBytes: 300 });
    clock.set(AT + 86_400);
    await write([4, 5]);
    assert.equal((await paths()).length, 3);
    const { broken, lines, first, last, notes } = await verify();
    assert.deepEqual([broken, lines, first?.number, last?.number, notes], [undefined, 5, 1, 5, []]);
  });

  it('an entry that is too long tells only what it was', async () => {
    const audit = await open();
    audit.append([toText({ kind: 'config', changes: 'x'.repeat(100_000) })]);
    await audit.flush(5_000);
    await audit.close();
    assert.match((await readLines())[0] ?? '', /^{"at":"2026-11-20T22:00:00.000Z","kind":"config","isCut":true,"n":1,/);
  });

  it('what was written is told in order', async () => {
    const audit = await open();
    const told: number[] = [];
    for (const n of [1, 2, 3]) audit.append([toText({ n1: n }), toText({ n2: n })], () => told.push(n));
    await audit.flush(5_000);
    assert.deepEqual(told, [1, 2, 3]);
    assert.equal(audit.status().count, 6);
    await audit.close();
  });

  it('a disk that fails is tried again, the chain goes on as if nothing had happened', async () => {
    let failures = 3;
    const audit = await open({}, (options) => {
      const file = create(options);
      return {
        ...file,
        append: async (text) => {
          if (failures-- > 0) throw new Error('ENOSPC');
          await file.append(text);
        },
      };
    });
    audit.append([toText({ which: 1 }), toText({ which: 2 })]);
    assert.equal(await audit.flush(2), false);
    assert.deepEqual([audit.status().isWritable, audit.status().waiting], [false, 2]);
    assert.equal(await audit.flush(5_000), true);
    assert.equal(audit.status().isWritable, true);
    await audit.close();
    assert.equal(said.filter((message) => /cannot be written/.test(message)).length, 1);
    assert.equal((await verify()).lines, 2);
  });

  it('tells that it removed its old files', async () => {
    await write([1, 2], { maxFileBytes: 100 });
    clock.set(AT + 40 * 86_400);
    await write([3, 4], { maxAgeDays: 30 });
    const { broken, first, lines, notes } = await verify();
    assert.deepEqual([broken, first?.number, lines], [undefined, 3, 3]);
    assert.deepEqual(notes, ['the chain begins at line 3; the agent noted that it removed old files']);
    const text = await readFile((await paths()).at(-1) ?? '', 'utf8');
    assert.match(
      text,
      /"kind":"expired","files":\["kore-connector-audit.log.20-11-2026","kore-connector-audit.log.20-11-2026.1"\]/,
    );
  });
});

/** What a crash leaves at the end of a file. */
const CRASHES: Readonly<Record<string, (lines: readonly string[]) => string>> = {
  'half a line': ([, , third = '']) => third.slice(0, 40),
  'half a line that ends in a line feed': ([, , third = '']) => `${third.slice(0, 40)}\n`,
  'a block of zeros': () => '\0'.repeat(4_096),
  'zeros and half a line': ([, , third = '']) => `${'\0'.repeat(100)}\n${third.slice(-50)}`,
};

describe('after a crash', () => {
  for (const [name, toRest] of Object.entries(CRASHES)) {
    for (const when of ['on the same day', 'on the next day'] as const) {
      it(`${name}: ${when} the chain goes on, and the break is told`, async () => {
        await write([1, 2, 3]);
        const lines = await readLines();
        await writeFile(only(), `${lines.slice(0, 2).join('\n')}\n${toRest(lines)}`);
        if (when === 'on the next day') clock.set(AT + 86_400);
        await write([4]);
        const { broken, lines: total, last, notes } = await verify();
        assert.equal(broken, undefined);
        // Two lines, the one that tells of the damage, and the new one.
        assert.deepEqual([total, last?.number], [4, 4]);
        assert.equal(notes.length, 1);
        assert.match(notes[0] ?? '', /:3: \d+ bytes are not whole, as the agent noted/);
      });
    }
  }

  for (const days of [0, 1]) {
    it(`a whole line without its line feed stays a line, ${days} day(s) later`, async () => {
      await write([1, 2]);
      await truncate(only(), (await readFile(only())).length - 1);
      clock.set(AT + days * 86_400);
      await write([3]);
      assert.deepEqual(await verify().then(({ broken, lines, notes }) => [broken, lines, notes]), [undefined, 3, []]);
    });
  }

  it('before the agent has started again the end that is not whole is only noted', async () => {
    await write([1, 2]);
    await appendFile(only(), '{"at":"2026');
    const { broken, lines, notes } = await verify();
    assert.deepEqual([broken, lines], [undefined, 2]);
    assert.match(notes[0] ?? '', /:3: the last line is not whole/);
  });

  it('an empty file is the start of a chain', async () => {
    await write([1]);
    await writeFile(only(), '');
    await write([2]);
    assert.deepEqual(await verify().then(({ broken, first }) => [broken, first?.number]), [undefined, 1]);
  });
});

const swap = (lines: readonly string[], a: number, b: number): string[] =>
  lines.with(a, lines[b] ?? '').with(b, lines[a] ?? '');

const toHash = (line = ''): string => (JSON.parse(line) as { hash: string }).hash;

/** What somebody does to five lines, and what is said of it. */
const TAMPERINGS: Readonly<Record<string, readonly [(lines: string[]) => readonly string[], RegExp]>> = {
  'a changed value': [
    (lines) => lines.with(2, lines[2]?.replace('"which":3', '"which":9') ?? ''),
    /:3: the line was changed/,
  ],
  'a changed time': [(lines) => lines.with(0, lines[0]?.replace('2026', '2025') ?? ''), /:1: the line was changed/],
  'a changed number': [(lines) => lines.with(2, lines[2]?.replace('"n":3', '"n":4') ?? ''), /:3: the line was changed/],
  'a changed last line': [
    (lines) => lines.with(4, lines[4]?.replace('"which":5', '"which":6') ?? ''),
    /:5: the line was changed/,
  ],
  'a removed line': [(lines) => lines.toSpliced(2, 1), /:3: line 3 is missing before line 4 of the chain/],
  'two removed lines': [(lines) => lines.toSpliced(1, 2), /:2: lines 2 to 3 are missing before line 4/],
  'a line twice': [
    (lines) => lines.toSpliced(2, 0, lines[1] ?? ''),
    /:3: line 2 of the chain stands where line 3 belongs/,
  ],
  'two lines in another order': [(lines) => swap(lines, 1, 2), /:2: line 2 is missing before line 3/],
  'an inserted line of another chain': [
    (lines) =>
      lines.toSpliced(1, 0, '{"kind":"request","n":2,"prev":"' + '0'.repeat(64) + '","hash":"' + '1'.repeat(64) + '"}'),
    /:2: the line was changed/,
  ],
  'a line made anew with a hash of its own': [
    (lines) => lines.with(1, linkEntry('{"kind":"request","which":9', { count: 1, hash: toHash(lines[0]) }).line),
    /:3: the line does not follow the one before it/,
  ],
  'an inserted text': [
    (lines) => lines.toSpliced(3, 0, 'nothing happened'),
    /:4: the line was changed, or is not whole/,
  ],
  'an inserted empty line': [(lines) => lines.toSpliced(3, 0, ''), /:4: the line was changed, or is not whole/],
  'white space': [(lines) => lines.with(1, `${lines[1]} `), /:2: the line was changed/],
  'a carriage return': [(lines) => lines.with(1, `${lines[1]}\r`), /:2: the line was changed/],
  'a member twice': [(lines) => lines.with(1, lines[1]?.replace('{', '{"which":1,') ?? ''), /:2: the line was changed/],
};

describe('verify finds', () => {
  for (const [name, [tamper, expected]] of Object.entries(TAMPERINGS)) {
    it(name, async () => {
      await write([1, 2, 3, 4, 5]);
      await writeLines(tamper(await readLines()));
      assert.match((await verify()).broken ?? 'nothing', expected);
    });
  }

  it('a file that was removed from the middle', async () => {
    for (const day of [0, 1, 2]) {
      clock.set(AT + day * 86_400);
      await write([day]);
    }
    await rm(join(folder, `${PREFIX}.21-11-2026`));
    assert.match((await verify()).broken ?? '', /22-11-2026:1: line 2 is missing before line 3/);
  });

  it('lines that the agent says it found broken, when they were others', async () => {
    await write([1, 2]);
    await appendFile(only(), 'half a line');
    await write([3]);
    await writeFile(only(), (await readFile(only(), 'utf8')).replace('half a line', 'half a lime'));
    assert.match((await verify()).broken ?? '', /:3: the line was changed, or is not whole/);
  });

  it('a replaced last line only by what was noted elsewhere', async () => {
    await write([1, 2, 3]);
    const { last } = await verify();
    await writeLines((await readLines()).slice(0, 2));
    assert.equal((await verify()).broken, undefined, 'without a note nobody can tell');
    assert.match((await verify({ expectedLast: last?.hash ?? '' })).broken ?? '', /lines were removed at the end/);
    assert.match((await verify({ expected: [last?.hash ?? ''] })).broken ?? '', /lines were removed or changed/);
  });

  it('nothing in an untouched log whose hashes are known', async () => {
    await write([1, 2, 3]);
    const { last } = await verify();
    const hash = last?.hash ?? '';
    assert.equal((await verify({ expected: [hash], expectedLast: hash })).broken, undefined);
    assert.equal((await readdir(folder)).length, 1);
  });

  it('a beginning that is gone without a word', async () => {
    await write([1, 2, 3]);
    await writeLines((await readLines()).slice(1));
    const { broken, notes } = await verify();
    assert.equal(broken, undefined);
    assert.deepEqual(notes, ['the chain begins at line 2; no line tells that the agent removed old files']);
  });

  it('an endless line', async () => {
    await writeFile(join(root, `${PREFIX}.20-11-2026`), 'x'.repeat(3_000_000));
    await assert.rejects(verifyAudit([join(root, `${PREFIX}.20-11-2026`)]), /a line that no agent wrote/);
  });
});
