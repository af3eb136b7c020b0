import type { z } from 'zod';

import { isLoopbackHost } from '../core/loopback.ts';
import type { Config, Program } from './config.ts';
import { ConfigError } from './config-error.ts';
import { readFiles } from './read-files.ts';
import { type ConfigRule, RULES } from './rules.ts';
import { type Environment, VARIABLES } from './variables.ts';

const PREFIX = 'COUNTERSIGN_';

/**
 * The frozen configuration of one program.
 * @throws ConfigError that lists every missing, malformed or unknown name
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>, program: Program): Config {
  const { environment, problems, malformed } = parseVariables(env);
  const { files, problems: fileProblems } = readFiles(environment);
  const config = {
    ...toCamelCase(environment),
    ...files,
    program,
    store: environment.COUNTERSIGN_STORE ?? (environment.COUNTERSIGN_REDIS_URL ? 'redis' : 'embedded'),
    bot: environment.COUNTERSIGN_BOT ?? (program === 'start' ? 'echo' : 'none'),
    isLoopback: isLoopbackHost(environment.COUNTERSIGN_HOST),
  } as Config;
  const broken = RULES.filter((rule) => rule.programs.includes(program) && isSurelyBroken(rule, config, malformed));
  const all = [...problems, ...fileProblems, ...broken.map(({ problem }) => problem)];
  if (all.length > 0) throw new ConfigError(all);
  for (const value of Object.values(config)) Object.freeze(value);
  return Object.freeze(config);
}

interface ParsedVariables {
  /** A malformed variable has its default here, so that the rules can look at the others. */
  readonly environment: Environment;
  readonly problems: readonly string[];
  /** Settings whose variables are malformed, by their names in the configuration. */
  readonly malformed: ReadonlySet<PropertyKey>;
}

function parseVariables(env: Readonly<Record<string, string | undefined>>): ParsedVariables {
  const given = new Map(Object.entries(env).filter(([name, value]) => name.startsWith(PREFIX) && value !== ''));
  const problems: string[] = [];
  const malformed = new Set<PropertyKey>();
  const entries = Object.entries<z.ZodType>(VARIABLES).map(([name, schema]) => {
    const result = schema.safeParse(given.get(name), { reportInput: false });
    if (result.success) return [name, result.data] as const;
    problems.push(`${name}: ${result.error.issues.map(toSentence).join(', ')}`);
    malformed.add(toSettingName(name));
    return [name, schema.safeParse(undefined).data] as const;
  });
  for (const [name, value] of given) {
    if (value !== undefined && !Object.hasOwn(VARIABLES, name)) problems.push(`${name}: there is no such setting`);
  }
  return { environment: Object.fromEntries(entries) as Environment, problems, malformed };
}

/** Whether a rule does not hold. One that reads a malformed setting cannot tell. */
function isSurelyBroken(rule: ConfigRule, config: Config, malformed: ReadonlySet<PropertyKey>): boolean {
  let isSure = true;
  const watched = new Proxy(config, {
    get: (target, name) => {
      if (malformed.has(name)) isSure = false;
      return Reflect.get(target, name) as unknown;
    },
  });
  return rule.isBroken(watched) && isSure;
}

function toSentence(issue: z.core.$ZodIssue): string {
  return issue.code === 'invalid_value' ? `must be one of ${issue.values.join(', ')}` : issue.message;
}

function toCamelCase(environment: Environment): object {
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [toSettingName(name), value]));
}

/** `COUNTERSIGN_DATA_DIR` as `dataDir`. */
function toSettingName(variable: string): string {
  const words = variable.slice(PREFIX.length).toLowerCase();
  return words.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
