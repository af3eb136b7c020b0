import cluster from 'node:cluster';
import { randomInt, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { startAgent } from '../connector/agent.ts';
import { AgentConfigError } from '../connector/config/agent-config.ts';
import {
  type AgentConfigOptions,
  DEFAULT_CONFIG_FILE,
  readAgentConfig,
} from '../connector/config/load-agent-config.ts';
import { stopAgentProcess } from '../connector/control/stop-agent-process.ts';
import { createServiceAnswer } from '../connector/service-call.ts';
import { createClusterFork, createInProcessFork, createWorkerPort } from '../connector/cluster/fork.ts';
import { findRunning, toPidPath } from '../connector/cluster/pid-file.ts';
import { runPrimary } from '../connector/cluster/primary.ts';
import { readStatus, toStatusPath } from '../connector/cluster/status-file.ts';
import { runWorker, type WorkerDeps } from '../connector/cluster/worker.ts';
import { systemClock } from '../core/clock.ts';
import { type Command, type CommandContext, UsageError } from './command.ts';
import { verifyAuditLog } from './connector-audit.ts';
import { checkConnector } from './connector-check.ts';
import { toStatusText } from './connector-status.ts';

interface ConnectorContext extends CommandContext {
  /** The installation folder. */
  readonly folder: string;
  readonly options: AgentConfigOptions;
  readonly audit: { readonly paths: readonly string[]; readonly expected: readonly string[]; readonly expectedLast: string | undefined }; // prettier-ignore
}

const USAGE =
  'connector [--config <file>] | connector check|status|stop [--config <file>] | connector audit verify [<folder>|<file> …] [--expect <hash> …] [--expect-last <hash>]';

/** What follows `connector`; without a word the agent runs in the foreground. */
const ACTIONS: Readonly<Record<string, (context: ConnectorContext) => Promise<void>>> = {
  run: async (context) => {
    const worker = createWorkerDeps(context.version);
    // SECURITY: a worker is told everything by its primary. It reads no file, so all workers have one configuration.
    if (cluster.isWorker) return runAsWorker(worker);
    return runPrimary({
      folder: context.folder,
      version: context.version,
      instance: randomUUID(),
      clock: systemClock,
      random,
      printError: context.printError,
      readConfig: () => readAgentConfig(context.folder, context.options),
      createFork: ({ cluster: { enabled } }) => {
        // In one process the primary is told of errors that nobody caught.
        if (enabled) return createClusterFork();
        return createInProcessFork({ clock: worker.clock, startWorker: worker.startWorker });
      },
      onUncaught,
      stop: context.stop,
    });
  },
  check: async ({ folder, options, print }) => {
    const { faults, summary } = checkConnector(folder, options);
    if (faults.length > 0) throw new AgentConfigError(faults);
    print(summary.join('\n'));
  },
  status: async ({ folder, print }) => {
    const pid = await findRunning(toPidPath(folder));
    if (pid === undefined) throw new Error('the agent does not run');
    const status = await readStatus(toStatusPath(folder));
    print(status?.pid === pid ? toStatusText(status) : `the agent runs as process ${pid} and has told nothing yet`);
  },
  stop: async ({ folder, print }) => {
    const { outcome } = await stopAgentProcess({ folder, wait: (ms) => wait(ms) });
    if (outcome === 'not running') throw new Error('the agent does not run');
    print(outcome === 'stopped' ? 'the agent has stopped' : 'the agent did not end by itself and was killed');
  },
  'audit verify': async ({ folder, options, audit, print }) => {
    const { config } = audit.paths.length > 0 ? {} : readAgentConfig(folder, options);
    const settings = config?.logs.audit;
    const paths = audit.paths.length > 0 ? audit.paths : [settings?.path ?? join(folder, 'audits')];
    print(await verifyAuditLog({ ...audit, paths }, settings?.prefix));
  },
};

/** `countersign connector …`: the agent behind the firewall. */
export const connectorCommand: Command = {
  usage: '[check|status|stop|audit verify] [--config <file>]',
  summary: 'run the agent behind the firewall, which dials out to the gateway',
  options: [
    `--config <file>        default ${DEFAULT_CONFIG_FILE}; the folder above its own is the installation`,
    'audit verify [<folder>|<file> …]',
    '--expect <hash>        a line with this hash must be in the audit log; may be given again',
    '--expect-last <hash>   the audit log must end in the line with this hash',
  ],
  run: async (context) => {
    const { values, positionals } = parseArgs({
      args: [...context.args],
      allowPositionals: true,
      options: {
        config: { type: 'string', default: DEFAULT_CONFIG_FILE },
        expect: { type: 'string', multiple: true, default: [] },
        'expect-last': { type: 'string' },
      },
    });
    const isAudit = positionals[0] === 'audit';
    const name = positionals.slice(0, isAudit ? 2 : 1).join(' ') || 'run';
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    const paths = positionals.slice(isAudit ? 2 : 1);
    const isTooMuch = !isAudit && (paths.length > 0 || values.expect.length > 0 || values['expect-last'] !== undefined);
    if (action === undefined || isTooMuch) throw new UsageError(USAGE);
    const configFile = resolve(values.config);
    const given = context.env['COUNTERSIGN_CONNECTOR_GATEWAY_URLS'];
    await action({
      ...context,
      folder: dirname(dirname(configFile)),
      options: { clock: systemClock, configFile, ...(given && { gatewayUrls: toList(given) }) },
      audit: { paths, expected: values.expect, expectedLast: values['expect-last'] },
    });
  },
};

const random = (below: number): number => (below < 1 ? 0 : randomInt(Math.ceil(below)));

const toList = (text: string): string[] => text.split(',').map((item) => item.trim()).filter((item) => item !== ''); // prettier-ignore

function createWorkerDeps(version: string): WorkerDeps {
  return {
    clock: systemClock,
    startWorker: ({ config, log, audit, worker, instance, onStatusChange }) => {
      const self = { instance, worker, version, hostname: hostname() };
      const agent = startAgent({ config, self, log, audit, clock: systemClock, random, onStatusChange });
      return {
        reload: (next) => agent.reload(next),
        status: () => agent.status(),
        stop: (graceMs) => agent.stop(graceMs),
        answer: createServiceAnswer(agent),
      };
    },
    onUncaught,
  };
}

/** A worker leaves signals to its primary: a terminal and systemd send them to both. */
async function runAsWorker(deps: WorkerDeps): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  await runWorker(createWorkerPort(), deps);
}

function onUncaught(listener: (error: unknown) => void): () => void {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  for (const event of events) process.on(event, listener);
  return () => {
    for (const event of events) process.off(event, listener);
  };
}
