import { join } from 'node:path';

import { findAgent } from '../connector/control/agent-process.ts';
import { startAgentProcess } from '../connector/control/start-agent-process.ts';
import { type StopResult, stopAgentProcess } from '../connector/control/stop-agent-process.ts';
import { type CommandContext, UsageError } from './command.ts';
import { connectorCommand } from './connector.ts';

/** Exit codes: those of the program, and for `status` those of the Linux Standard Base for init scripts. */
const EXIT = { ok: 0, failed: 1, usage: 2, deadWithPidFile: 1, notRunning: 3 } as const;

const HELP = `usage: koreconnector start | stop | status | run | check | audit verify | version

  start    starts the agent in the background; says why where it does not start
  stop     lets it finish what it does, and ends it
  status   says whether it runs, and how it is connected; exit code 3 where it does not run
  run      runs it in the foreground
  check    lists every fault of the configuration, starts nothing
  audit verify
           checks the chain of the audit log`;

/** Words that ask for help. */
const HELP_WORDS: ReadonlySet<string> = new Set(['--help', '-h']);

/** What the packaged agent sees of its process. */
export interface AgentContext extends CommandContext {
  /** The installation folder. */
  readonly folder: string;
  /** The words that run this program. */
  readonly self: readonly string[];
  /** Resolves after so many milliseconds. */
  readonly wait: (ms: number) => Promise<void>;
}

const STOPPED: Readonly<Record<StopResult['outcome'], string>> = {
  stopped: 'stopped',
  killed: 'did not end by itself and was killed',
  'not running': 'is not running',
};

type AgentCommand = (context: AgentContext) => Promise<number>;

const COMMANDS: Readonly<Record<string, AgentCommand>> = {
  start: async ({ folder, self, env, wait, print, printError }) => {
    const [command = '', ...script] = self;
    const args = [...script, '--config', toConfigFile(folder)];
    const result = await startAgentProcess({ folder, command, args, env, wait });
    if (result.outcome === 'failed') {
      printError(`kore-connector did not start:\n${result.reason}`);
      return EXIT.failed;
    }
    if (result.outcome === 'slow') {
      printError(`kore-connector (pid ${result.pid}) has not said yet that it started; see its log`);
      return EXIT.failed;
    }
    print(`kore-connector ${result.outcome === 'already' ? 'runs already' : 'started'} (pid ${result.pid})`);
    return EXIT.ok;
  },
  stop: async ({ folder, wait, print }) => {
    const { outcome } = await stopAgentProcess({ folder, wait });
    print(`kore-connector ${STOPPED[outcome]}`);
    return EXIT.ok;
  },
  status: async (context) => {
    const agent = await findAgent(context.folder);
    if (agent.state === 'stopped') {
      context.print('kore-connector is not running');
      return EXIT.notRunning;
    }
    if (agent.state === 'dead') {
      context.print('kore-connector is not running; it ended without being stopped');
      return EXIT.deadWithPidFile;
    }
    context.print(`kore-connector is running (pid ${agent.pid})`);
    return runConnector(context, ['status']);
  },
  version: async ({ version, print }) => {
    print(version);
    return EXIT.ok;
  },
  help: async ({ print }) => {
    print(HELP);
    return EXIT.ok;
  },
};

function toConfigFile(folder: string): string {
  return join(folder, 'config', 'connectorconfig.json');
}

/** The command that the agent shares with the whole program, on this installation's files unless others are named. */
async function runConnector(context: AgentContext, args: readonly string[]): Promise<number> {
  const isNamed = args.some((word) => /^--config(?:=|$)/.test(word));
  const words = isNamed ? args : [...args, '--config', toConfigFile(context.folder)];
  await connectorCommand.run({ ...context, args: words });
  return EXIT.ok;
}

function isUsageError(error: unknown): boolean {
  if (error instanceof UsageError) return true;
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
}

/** Runs the command of the packaged agent that the first word names. @returns the exit code */
export async function runAgentCommand(context: AgentContext): Promise<number> {
  const [first = 'help', ...rest] = context.args;
  const name = HELP_WORDS.has(first) ? 'help' : first;
  try {
    if (rest.length === 0 && Object.hasOwn(COMMANDS, name)) return (await COMMANDS[name]?.(context)) ?? EXIT.usage;
    return await runConnector(context, name === 'run' ? rest : context.args);
  } catch (error) {
    if (isUsageError(error)) {
      context.printError(HELP);
      return EXIT.usage;
    }
    context.printError(`kore-connector: ${error instanceof Error ? error.message : String(error)}`);
    return EXIT.failed;
  }
}
