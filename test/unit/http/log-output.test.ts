import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import type { LogGathering } from '../../../src/http/log-output.ts';
import { type Child, startChild, waitUntilReady } from '../../support/child.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** A process of its own that logs; it ends as `script` says. */
function startLogging(script: string, gathering: LogGathering): Promise<Child> {
  const text = [
    "import { createLogger } from './src/http/access-log.js';",
    "import { createLogOutput } from './src/http/log-output.js';",
    "const logger = createLogger('info', createLogOutput(process.argv[1]));",
    "const cut = () => process.kill(process.pid, 'SIGKILL');",
    script,
  ].join('\n');
  const args = ['--input-type=module', '-e', text, gathering];
  return startChild({ command: process.execPath, args, cwd: ROOT });
}

const readMessages = (child: Child): string[] =>
  child
    .stdout()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { msg: string }).msg);

const ENDS: Readonly<Record<string, readonly [script: string, messages: readonly string[]]>> = {
  'exit() writes what waits': ["logger.info('one'); logger.info('two'); process.exit(0);", ['one', 'two']],
  'an end by itself writes what waits': ["logger.info('one');", ['one']],
  'an error that nobody catches loses nothing': ["logger.info('one'); throw new Error('x');", ['one']],
  'a warning is written at once, with what waits before it': [
    "logger.info('one'); logger.warn('two'); cut();",
    ['one', 'two'],
  ],
  'an error of a child logger is written at once': ["logger.child({ a: 1 }).error('one'); cut();", ['one']],
  'information waits for others': ["logger.info('one'); cut();", []],
  'very much of it does not wait': ["logger.info('x'.repeat(65_536)); cut();", ['x'.repeat(65_536)]],
  'what comes behind a warning waits again': ["logger.warn('one'); logger.info('two'); cut();", ['one']],
};

/** What is written once the turn of the event loop is over. */
const TURN_ENDS: Readonly<Record<LogGathering, readonly string[]>> = { turn: ['one', 'two'], moment: [] };

for (const gathering of ['turn', 'moment'] as const) {
  describe(`the output of the log, gathered for a ${gathering}`, () => {
    for (const [name, [script, messages]] of Object.entries(ENDS)) {
      it(name, async () => {
        const child = await startLogging(script, gathering);
        await child.exited;
        assert.deepEqual(readMessages(child), messages);
      });
    }

    it('information is written after a moment, while the process does something else', async () => {
      const child = await startLogging("logger.info('one'); setInterval(() => undefined, 1_000);", gathering);
      try {
        await waitUntilReady(child, async () => readMessages(child).length === 1, 10_000);
      } finally {
        await child.kill();
      }
    });

    it(`${gathering === 'turn' ? 'is written' : 'waits'} when the turn of the event loop is over`, async () => {
      const script = "logger.info('one'); logger.info('two'); setImmediate(cut);";
      const child = await startLogging(script, gathering);
      await child.exited;
      assert.deepEqual(readMessages(child), TURN_ENDS[gathering]);
    });

    it('is written again in later turns', async () => {
      const script = "logger.info('one'); setTimeout(() => { logger.info('two'); setTimeout(cut, 100); }, 100);";
      const child = await startLogging(script, gathering);
      await child.exited;
      assert.deepEqual(readMessages(child), ['one', 'two']);
    });
  });
}
