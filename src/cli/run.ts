import { ConfigError } from '../config/config-error.ts';
import { AppError, toPublicMessage } from '../core/errors.ts';
import { type Command, type CommandContext, UsageError } from './command.ts';

/** The commands, in the order of the help. One that runs loads nothing of the others. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('./start.ts')).startCommand,
  issuer: async () => (await import('./issuer.ts')).issuerCommand,
  idproxy: async () => (await import('./idproxy.ts')).idproxyCommand,
  connector: async () => (await import('./connector.ts')).connectorCommand,
  gateway: async () => (await import('./gateway.ts')).gatewayCommand,
  apps: async () => (await import('./apps.ts')).appsCommand,
  identities: async () => (await import('./identities.ts')).identitiesCommand,
  explain: async () => (await import('./explain.ts')).explainCommand,
  connectors: async () => (await import('./connectors.ts')).connectorsCommand,
  callers: async () => (await import('./callers.ts')).callersCommand,
  keys: async () => (await import('./keys.ts')).keysCommand,
  audit: async () => (await import('./audit.ts')).auditCommand,
  'api-keys': async () => (await import('./api-keys.ts')).apiKeysCommand,
};

/** Exit codes. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** Words that ask for help, wherever they stand. */
const HELP: ReadonlySet<string> = new Set(['--help', '-h']);

/** The help text. */
export async function toHelp(version: string): Promise<string> {
  const lines = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, load]) => {
      const { usage, summary } = await load();
      return `  countersign ${`${name} ${usage}`.trim()}\n      ${summary}`;
    }),
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
  const command = Object.hasOwn(COMMANDS, name) ? await COMMANDS[name]?.() : undefined;
  if (name === 'help' || context.args.some((word) => HELP.has(word))) {
    context.print(command ? toCommandHelp(name, command) : await toHelp(context.version));
    return EXIT.ok;
  }
  if (command === undefined) {
    context.printError(await toHelp(context.version));
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
