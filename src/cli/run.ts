import { ConfigError } from '../config/config-error.ts';
import { AppError, toPublicMessage } from '../core/errors.ts';
import { apiKeysCommand } from './api-keys.ts';
import { appsCommand } from './apps.ts';
import { callersCommand } from './callers.ts';
import { type Command, type CommandContext, UsageError } from './command.ts';
import { gatewayCommand } from './gateway.ts';
import { connectorCommand } from './connector.ts';
import { connectorsCommand } from './connectors.ts';
import { identitiesCommand } from './identities.ts';
import { idproxyCommand } from './idproxy.ts';
import { issuerCommand } from './issuer.ts';
import { startCommand } from './start.ts';

/** The commands, in the order of the help. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  start: startCommand,
  issuer: issuerCommand,
  idproxy: idproxyCommand,
  connector: connectorCommand,
  gateway: gatewayCommand,
  apps: appsCommand,
  identities: identitiesCommand,
  connectors: connectorsCommand,
  callers: callersCommand,
  'api-keys': apiKeysCommand,
};

/** Exit codes. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** Words that ask for help, wherever they stand. */
const HELP: ReadonlySet<string> = new Set(['--help', '-h']);

/** The help text. */
export function toHelp(version: string): string {
  const lines = Object.entries(COMMANDS).map(
    ([name, { usage, summary }]) => `  countersign ${`${name} ${usage}`.trim()}\n      ${summary}`,
  );
  return [
    `Countersign ${version}`,
    '',
    ...lines,
    '',
    'Settings come from the environment and from .env; docs/configuration.md lists them.',
  ].join('\n');
}

/** The help text of one command. */
export function toCommandHelp(name: string, { usage, summary, options = [] }: Command): string {
  return [
    `countersign ${`${name} ${usage}`.trim()}`,
    `    ${summary}`,
    ...options.map((option) => `    ${option}`),
  ].join('\n');
}

/** Runs the command that the first word names. @returns the exit code */
export async function runCommand(context: CommandContext): Promise<number> {
  const [name = 'help', ...args] = context.args;
  if (name === 'version' || name === '--version') {
    context.print(context.version);
    return EXIT.ok;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (name === 'help' || context.args.some((word) => HELP.has(word))) {
    context.print(command ? toCommandHelp(name, command) : toHelp(context.version));
    return EXIT.ok;
  }
  if (command === undefined) {
    context.printError(toHelp(context.version));
    return EXIT.usage;
  }
  try {
    if (command.usage === '' && args.length > 0) throw new UsageError(name);
    await command.run({ ...context, args });
    return EXIT.ok;
  } catch (error) {
    context.printError(`countersign ${name}: ${toMessage(error)}`);
    return error instanceof UsageError || error instanceof ConfigError || isParseArgsError(error)
      ? EXIT.usage
      : EXIT.failed;
  }
}

function toMessage(error: unknown): string {
  if (error instanceof UsageError) return `usage: countersign ${error.message}`;
  if (error instanceof AppError) return error.detail ?? toPublicMessage(error);
  if (isSystemError(error, 'EADDRINUSE'))
    return `port ${error.port} is in use; set COUNTERSIGN_ISSUER_PORT or COUNTERSIGN_IDPROXY_PORT`;
  return error instanceof Error ? error.message : String(error);
}

function isParseArgsError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
}

function isSystemError(error: unknown, code: string): error is Error & { port: number } {
  return error instanceof Error && 'code' in error && error.code === code;
}
