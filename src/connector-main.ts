import cluster from 'node:cluster';
import { dirname } from 'node:path';
import { isSea } from 'node:sea';
import { setTimeout as wait } from 'node:timers/promises';

import { runAgentCommand } from './cli/agent-commands.ts';

/** Set when the agent is bundled. */
declare const KORE_CONNECTOR_VERSION: string | undefined;

/** The agent as one executable: there is no script, and its own path stands in the script's place. */
const isExecutable = isSea();
const script = isExecutable ? undefined : process.argv[1];
/** A worker of the executable finds one more word before its own: what its primary took for the script. */
const args = process.argv.slice(isExecutable && cluster.isWorker ? 3 : 2);
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());
// A reader of the output that has gone, or a disk that is full, does not end the agent.
for (const output of [process.stdout, process.stderr]) output.on('error', () => undefined);

void main();

async function main(): Promise<void> {
  const exitCode = await runAgentCommand({
    args,
    env: process.env,
    stop: stopping.signal,
    version: typeof KORE_CONNECTOR_VERSION === 'string' ? KORE_CONNECTOR_VERSION : 'development',
    folder: script === undefined ? dirname(process.execPath) : dirname(dirname(script)),
    self: script === undefined ? [process.execPath] : [process.execPath, script],
    wait: (ms) => wait(ms),
    print: (text) => void process.stdout.write(`${text}\n`),
    printError: (text) => void process.stderr.write(`${text}\n`),
  });
  for (const output of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => {
      output.write('', () => resolve());
    });
  }
  process.exit(exitCode);
}
