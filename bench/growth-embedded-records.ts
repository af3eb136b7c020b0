import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { toScript } from './contestant.ts';
import type { EMBEDDED_ACTS } from './growth-embedded.ts';
import type { LiveRecords } from './growth-records.ts';

const run = promisify(execFile);

/** The records in the file of an embedded store; each act is a process of its own. */
export function openEmbeddedRecords(file: string): LiveRecords {
  const act = async (name: keyof typeof EMBEDDED_ACTS, ...args: readonly (string | number)[]): Promise<unknown> => {
    const command = [toScript('./growth-embedded-act.js'), name, file, ...args.map(String)];
    return JSON.parse((await run(process.execPath, command)).stdout);
  };
  return {
    isFilledAlone: true,
    fill: async (exchangeCount) => void (await act('fill', exchangeCount)),
    settle: async (exchangeCount) => void (await act('settle', exchangeCount)),
    measureBytes: async (kind, count) => Number(await act('measureBytes', count, kind)),
  };
}
