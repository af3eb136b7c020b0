import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type AppLog, createAppLog } from '../../../../src/connector/logs/app-log.ts';
import { APP_LOG_RETRY_SECONDS, createAppLogWriter } from '../../../../src/connector/logs/app-log-writer.ts';
import { LOG_LEVELS, type LogLevel } from '../../../../src/connector/logs/levels.ts';
import type { LogFile } from '../../../../src/connector/logs/log-file.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';

const AT = 1_795_212_000;
const clock = createFakeClock(AT);

function createLines(level: LogLevel, more: { worker?: number; highest?: LogLevel } = {}) {
  const lines: string[] = [];
  const log: AppLog = createAppLog({ write: (line) => lines.push(line), level: () => level, clock, ...more });
  return { lines, log };
}

describe('the application log', () => {
  for (const [index, level] of LOG_LEVELS.entries()) {
    it(`level ${level} includes all above it and nothing below`, () => {
      const { lines, log } = createLines(level);
      // Backwards: fatal is the last line.
      for (const at of LOG_LEVELS.toReversed()) log[at]('said');
      const shown = lines.map((line) => (JSON.parse(line) as { level: string }).level);
      assert.deepEqual(shown.toReversed(), LOG_LEVELS.slice(0, index + 1));
    });
  }

  it('a line is JSON: time, level, worker, message, fields', () => {
    const { lines, log } = createLines('info', { worker: 2 });
    log.warn('it heals', { afterMs: 20 });
    assert.deepEqual(lines, [
      '{"at":"2026-11-20T22:00:00.000Z","level":"warn","worker":2,"message":"it heals","afterMs":20}',
    ]);
  });

  it('no value forges a line or a member', () => {
    const { lines, log } = createLines('info');
    log.info('a\n{"level":"fatal"}', { level: 'fatal', at: 'never', text: 'b\r\nc' });
    assert.deepEqual(lines, [
      '{"at":"2026-11-20T22:00:00.000Z","level":"info","message":"a\\n{\\"level\\":\\"fatal\\"}","text":"b\\r\\nc"}',
    ]);
  });

  it('nothing follows the fatal line', () => {
    const { lines, log } = createLines('trace');
    log.fatal('the end');
    log.info('more');
    log.fatal('again');
    assert.equal(lines.length, 1);
  });

  it('what is fatal for a worker is critical for the agent', () => {
    const { lines, log } = createLines('trace', { highest: 'critical' });
    log.fatal('the end');
    log.info('more');
    assert.deepEqual(lines.map((line) => (JSON.parse(line) as { level: string }).level), ['critical', 'info']); // prettier-ignore
  });
});

describe('a disk that fails under the application log', () => {
  it('lines go to the standard error, and to the file again once it is back', async () => {
    const ticking = createFakeClock(AT);
    const written: string[] = [];
    const printed: string[] = [];
    let isFull = true;
    const file: LogFile = {
      append: async (text) => {
        if (isFull) throw new Error('ENOSPC: no space left on device, write');
        written.push(text);
      },
      sync: async () => undefined,
      close: async () => undefined,
    };
    const writer = createAppLogWriter({ file, clock: ticking, printError: (line) => printed.push(line) });
    writer.write('one');
    await writer.flush();
    assert.match(printed[0] ?? '', /"level":"warn","message":"the application log cannot be written","error":"ENOSPC/);
    assert.equal(printed[1], 'one');

    isFull = false;
    writer.write('two');
    await writer.flush();
    assert.equal(printed[2], 'two', 'it is not tried for every line');

    ticking.set(AT + APP_LOG_RETRY_SECONDS);
    writer.write('three');
    await writer.close();
    assert.equal(written.length, 1);
    assert.match(written[0] ?? '', /"message":"the log is written again","linesOnStandardErrorOnly":2}\nthree\n$/);
    assert.equal(printed.length, 3);
  });
});
