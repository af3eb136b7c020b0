import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { findPython } from '../../scripts/find-python.ts';
import { startChild, type Exit } from './child.ts';
import type { Example, Language, Step } from './markdown-examples.ts';
import { type CountersignProcess, createTempFolder, getFreePort, startCountersign } from './processes.ts';

const BLOCK_TIMEOUT_MS = 30_000;
const ADMIN_TOKEN = 'an-admin-token-for-the-examples-000';
/** The ports of the documents: issuer, idproxy, a gateway's callers and agents, an application of the reader's. */
const DEFAULT_PORTS = ['3000', '4000', '8081', '8443', '9000'] as const;
const DEFAULT_PORT = new RegExp(
  `(\\b(?:127\\.0\\.0\\.1|localhost):|"internalport": ")(${DEFAULT_PORTS.join('|')})\\b`,
  'g',
);
/** What readers find beside them in a checkout. */
const LINKS = ['dist', 'node_modules', 'openapi.yaml', 'package.json'];

/** How an example ended, and what it printed. */
export interface Outcome extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** A reader's folder and shell, with a server that runs as the documents say. */
export interface Story {
  /** Puts the ports of this story's server where a text has the default ones. */
  toActual(text: string): string;
  /** Restarts the server, writes a file, or runs an example. @returns undefined unless an example was run */
  follow(step: Step): Promise<Outcome | undefined>;
  end(): Promise<void>;
}

/** Sources what the last example left, so that variables and folder go on as in one shell. */
const RESUME = 'set -euo pipefail; if [ -e "$STORY_STATE" ]; then . "$STORY_STATE"; cd "$PWD"; fi';
const RUNNERS: Readonly<Record<Language, string>> = {
  bash: `${RESUME}; trap 'export -p > "$STORY_STATE"' EXIT; set -a; . "$1"`,
  js: `${RESUME}; exec node "$1"`,
  python: `${RESUME}; exec "$STORY_PYTHON" "$1"`,
};

/** Opens a story in a fresh folder; its server starts with the first step. */
export async function startStory(): Promise<Story> {
  const folder = await createTempFolder();
  const [work, bin] = [join(folder, 'work'), join(folder, 'bin')];
  await Promise.all([mkdir(work), mkdir(bin)]);
  for (const name of LINKS) await symlink(resolve(name), join(work, name));
  const command = join(bin, 'countersign');
  await writeFile(command, `#!/bin/sh\nexec node '${resolve('dist', 'main.js')}' "$@"\n`);
  await chmod(command, 0o755);

  const shared = {
    COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN,
    COUNTERSIGN_DATA_DIR: join(folder, 'data'),
    COUNTERSIGN_KEYS_DIR: join(folder, 'keys'),
  };
  const ports = new Map<string, number>();
  for (const port of DEFAULT_PORTS) ports.set(port, await getFreePort());
  const toPort = (port: (typeof DEFAULT_PORTS)[number]): string => String(ports.get(port));
  const gateway = {
    COUNTERSIGN_GATEWAY_AGENT_PORT: toPort('8443'),
    COUNTERSIGN_GATEWAY_CALLER_PORT: toPort('8081'),
  };
  let server: CountersignProcess | undefined;
  const restart = async (env: Readonly<Record<string, string>> = {}): Promise<void> => {
    await server?.stop();
    const at = { COUNTERSIGN_ISSUER_PORT: toPort('3000'), COUNTERSIGN_IDPROXY_PORT: toPort('4000') };
    server = await startCountersign(['start'], { ...shared, ...gateway, ...at, ...env });
  };

  const toActual = (text: string): string =>
    text.replace(DEFAULT_PORT, (_, before: string, port: string) => `${before}${ports.get(port)}`);
  const save = async (name: string, text: string): Promise<string> => {
    const path = join(work, name);
    await writeFile(path, toActual(text));
    return path;
  };

  const run = async ({ language, name, text }: Example): Promise<Outcome> => {
    const path = await save(name, text);
    const env = {
      ...shared,
      ...gateway,
      PATH: `${bin}:${process.env['PATH'] ?? ''}`,
      HOME: folder,
      LANG: 'C.UTF-8',
      STORY_STATE: join(folder, 'state'),
      STORY_PYTHON: findPython() ?? '',
    };
    const child = await startChild({ command: 'bash', args: ['-c', RUNNERS[language], 'bash', path], cwd: work, env });
    const timer = setTimeout(() => child.signal('SIGKILL'), BLOCK_TIMEOUT_MS);
    const exit = await child.exited;
    clearTimeout(timer);
    return { ...exit, stdout: child.stdout(), stderr: child.stderr() };
  };

  return {
    toActual,
    follow: async (step) => {
      if (step.kind === 'server') await restart(toFolder(step.env, work));
      else if (server === undefined) await restart();
      if (step.kind === 'file') await save(step.name, step.text);
      return step.kind === 'run' ? run(step) : undefined;
    },
    end: async () => {
      await server?.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Settings that name a file mean one of the reader's folder. */
function toFolder(env: Readonly<Record<string, string>>, work: string): Record<string, string> {
  const pairs = Object.entries(env).map(([name, value]) => [
    name,
    name.endsWith('_FILE') ? resolve(work, value) : value,
  ]);
  return Object.fromEntries(pairs) as Record<string, string>;
}
