import { z } from 'zod';

import type { Config, Program } from './config.ts';
import { ConfigError } from './config-error.ts';
import { readFiles } from './read-files.ts';
import { RULES } from './rules.ts';
import { type Environment, VARIABLES } from './variables.ts';

const PREFIX = 'COUNTERSIGN_';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

/**
 * The frozen configuration of one program.
 * @throws ConfigError that lists every missing, malformed or unknown name
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>, program: Program): Config {
  const present = Object.fromEntries(
    Object.entries(env).filter(([name, value]) => name.startsWith(PREFIX) && value !== undefined && value !== ''),
  );
  const parsed = z.strictObject(VARIABLES).safeParse(present, { reportInput: false });
  if (!parsed.success) throw new ConfigError(parsed.error.issues.flatMap(toProblems));
  const environment = parsed.data as Environment;
  const { files, problems } = readFiles(environment);
  const config = {
    ...toCamelCase(environment),
    ...files,
    program,
    store: environment.COUNTERSIGN_STORE ?? (environment.COUNTERSIGN_REDIS_URL ? 'redis' : 'embedded'),
    isLoopback: LOOPBACK.test(environment.COUNTERSIGN_HOST),
  } as Config;
  const broken = RULES.filter(({ programs, isBroken }) => programs.includes(program) && isBroken(config));
  const all = [...problems, ...broken.map(({ problem }) => problem)];
  if (all.length > 0) throw new ConfigError(all);
  return Object.freeze(config);
}

function toProblems(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((name) => `${name}: there is no such setting`);
  const message = issue.code === 'invalid_value' ? `must be one of ${issue.values.join(', ')}` : issue.message;
  return [`${issue.path.join('.')}: ${message}`];
}

function toCamelCase(environment: Environment): object {
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name.slice(PREFIX.length).toLowerCase().replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );
}
