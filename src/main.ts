#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';

import { config as loadDotenv } from 'dotenv';

import { runCommand } from './cli/run.ts';

/** The version, from the package that this file was built into. */
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

loadDotenv({ quiet: true });
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());

let isOutputLost = false;
for (const output of [process.stdout, process.stderr]) {
  // A reader that has gone wants no more; everything else is a result that got lost.
  output.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code !== 'EPIPE') isOutputLost = true;
  });
}

const exitCode = await runCommand({
  args: process.argv.slice(2),
  env: process.env,
  user: readUser(),
  stop: stopping.signal,
  version,
  print: (text) => void process.stdout.write(`${text}\n`),
  printError: (text) => void process.stderr.write(`${text}\n`),
});
// What a pipe has not taken yet would be lost.
for (const output of [process.stdout, process.stderr]) {
  await new Promise<void>((resolve) => {
    output.write('', () => resolve());
  });
}
// Not by waiting until nothing is left to do: a bot of the operator's may hold a timer or a connection for ever.
process.exit(isOutputLost && exitCode === 0 ? 1 : exitCode);

/** Who runs the program; a user without a name, as a container may have, by its number. */
function readUser(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}
