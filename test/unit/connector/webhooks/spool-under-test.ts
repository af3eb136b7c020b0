import { rm } from 'node:fs/promises';
import type { TestContext } from 'node:test';

import type { LogLevel } from '../../../../src/connector/logs/levels.ts';
import type { AppLog } from '../../../../src/connector/logs/app-log.ts';
import { LOG_LEVELS } from '../../../../src/connector/logs/levels.ts';
import {
  type Entry,
  openSpool,
  type Pushed,
  type Spool,
  type SpoolDeps,
} from '../../../../src/connector/webhooks/spool.ts';
import { createFakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { createTempFolder } from '../../../support/processes.ts';

/** A log that keeps what was said, `level message`. */
export function createHeardLog(): { readonly log: AppLog; readonly said: string[] } {
  const said: string[] = [];
  const say = (level: LogLevel) => (message: string) => void said.push(`${level} ${message}`);
  return { log: Object.fromEntries(LOG_LEVELS.map((level) => [level, say(level)])) as unknown as AppLog, said };
}

/** A spool in a folder of its own. */
export interface SpoolUnderTest {
  readonly folder: string;
  readonly clock: FakeClock;
  readonly spool: Spool;
  readonly said: readonly string[];
  readonly added: readonly Entry[];
  /** Opens the same folder as the next process would. */
  again(): Promise<Spool>;
}

export const toPush = (text: string, changes: Partial<Pushed> = {}): Pushed => ({
  target: 'alerts',
  fields: ['content-type', 'text/plain'],
  body: Buffer.from(text),
  ...changes,
});

export async function startSpool(t: TestContext, changes: Partial<SpoolDeps> = {}): Promise<SpoolUnderTest> {
  const folder = await createTempFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  // Files have the times of the machine.
  const clock = createFakeClock(Date.now() / 1000);
  const { log, said } = createHeardLog();
  const added: Entry[] = [];
  const again = (): Promise<Spool> =>
    openSpool(folder, { clock, log, onAdded: (entry) => void added.push(entry), ...changes });
  return { folder, clock, spool: await again(), said, added, again };
}
