import { type Clock, toIsoDate } from '../../core/clock.ts';
import { type AgentConfig, AgentConfigError } from '../config/agent-config.ts';
import { type ConfigChanges, describeChanges } from '../config/describe-changes.ts';
import type { AgentReading } from '../config/load-agent-config.ts';
import { type ChangedFile, watchAgentConfig } from '../config/watch-config.ts';
import { type AuditEntry, type AuditKind, toEventEntry } from '../logs/audit-entry.ts';
import { type AuditLog, toAuditText } from '../logs/audit-log.ts';
import { type AgentLogs, openAgentLogs, tellRefusedStart } from './agent-logs.ts';
import type { AnswerQuestion } from './channel.ts';
import { toWire } from './config-wire.ts';
import { type Errands, startErrands } from './errands.ts';
import type { Fork } from './fork.ts';
import { claimPidFile, findRunning, toPidPath } from './pid-file.ts';
import { type AgentStatus, createStatusFile, toStatusPath } from './status-file.ts';
import { startSupervisor, type Supervisor } from './supervisor.ts';
import { createTakenNotes, hashEdited, keepChangedMeanwhile } from './taken-files.ts';

/** What requests are given to finish when the agent stops, in milliseconds. */
export const STOP_GRACE_MS = 20_000;
/** How long the end of the agent waits until its last audit lines are written, in milliseconds. */
export const LAST_AUDITS_MS = 5_000;

export interface PrimaryDeps {
  /** The installation folder. */
  readonly folder: string;
  readonly version: string;
  readonly instance: string;
  readonly clock: Clock;
  /** A random whole number from 0 up to, but not including, `below`. */
  readonly random: (below: number) => number;
  readonly printError: (text: string) => void;
  readonly readConfig: () => AgentReading;
  /** How workers start: as processes, or without a cluster in this one. */
  readonly createFork: (config: AgentConfig) => Fork;
  /** Answers questions of the workers; beside that the primary may ask them. */
  readonly createAnswer?: (primary: Pick<Supervisor, 'ask'>) => AnswerQuestion;
  /** Told of errors that nobody caught. @returns what ends that */
  readonly onUncaught?: (listener: (error: unknown) => void) => () => void;
  readonly stop: AbortSignal;
  readonly graceMs?: number;
  readonly minRestartMs?: number;
}

/**
 * Runs an agent until it is asked to stop: reads and watches its configuration, keeps its workers, alone writes its logs.
 * @throws AgentConfigError, AlreadyRunningError, or what made it end
 */
export async function runPrimary(deps: PrimaryDeps): Promise<void> {
  const reading = deps.readConfig();
  if (reading.config === undefined) {
    // The log of an agent that runs is for that agent alone to write.
    const isFree = (await findRunning(toPidPath(deps.folder))) === undefined;
    if (reading.appLog !== undefined && isFree) await tellRefusedStart(deps, reading.appLog, reading.faults);
    throw new AgentConfigError(reading.faults);
  }
  const releasePid = await claimPidFile(toPidPath(deps.folder));
  try {
    await runAgent(deps, { ...reading, config: reading.config });
  } finally {
    await releasePid();
  }
}

async function runAgent(deps: PrimaryDeps, reading: AgentReading & { readonly config: AgentConfig }): Promise<void> {
  const { clock, version, instance, printError, graceMs = STOP_GRACE_MS } = deps;
  let { config } = reading;
  const startedAt = clock.nowSeconds();
  let state: AgentStatus['state'] = 'running';
  const logs = await openAgentLogs({ clock, printError, config: () => config });
  const { log, audit } = logs;
  const tell: Tell = (kind, fields, onWritten) => {
    takeAudits([toAuditText(toEventEntry(kind, fields, undefined, clock))], () => onWritten?.());
  };
  const takeAudits: AuditLog['append'] = (texts, onWritten) =>
    audit.append(texts, () => {
      onWritten?.();
      status.touch();
    });
  const taken = createTakenNotes(deps.folder, (error) => log.error('what was taken could not be noted', { error }));
  const { promise: ended, end } = createEnd();

  log.info('the agent starts', { version, pid: process.pid, instance, connector: config.credentials.connectorId });
  for (const warning of config.warnings) log.warn(warning);
  const started = { version, pid: process.pid, instance, connector: config.credentials.connectorId };
  tell('start', { ...started, configuration: hashEdited(reading) });
  const meanwhile = keepChangedMeanwhile(deps.folder, reading, startedAt);
  if (meanwhile.length === 0) taken.note(reading);
  else {
    tellChange(logs, tell, CHANGED_MEANWHILE, meanwhile, reading, () => taken.note(reading));
  }

  const status = createStatusFile(
    toStatusPath(deps.folder),
    (): AgentStatus => ({
      state,
      pid: process.pid,
      version,
      instance,
      connector: config.credentials.connectorId,
      startedAt: toIsoDate(startedAt),
      updatedAt: toIsoDate(clock.nowSeconds()),
      workers: supervisor.status().map((worker) => ({ ...worker, since: toIsoDate(worker.since) })),
      audit: audit.status(),
      webhooks: errands.webhooks(),
    }),
    (error) => log.error('the status file cannot be written', { error }),
  );
  const supervisor: Supervisor = startSupervisor({
    count: config.cluster.enabled ? config.cluster.workers : 1,
    fork: deps.createFork(config),
    clock,
    random: deps.random,
    log,
    instance,
    config: () => toWire(config),
    takeLogs: (lines) => lines.forEach(logs.writer.write),
    takeAudits,
    answer: (name, payload) => answer(name, payload),
    onWorkerEnd: (worker, how) => tell('worker', { ended: worker, how }),
    onStatusChange: status.touch,
    onGiveUp: (why) => end(new Error(`no worker stays alive: ${why}`)),
    ...(deps.minRestartMs !== undefined && { minRestartMs: deps.minRestartMs }),
  });
  const answer: AnswerQuestion =
    deps.createAnswer?.(supervisor) ?? ((name) => Promise.reject(new Error(`${name}: nobody answers that`)));

  const watch = watchAgentConfig({
    initial: reading,
    read: deps.readConfig,
    clock,
    onChange: (next, files, former, changed) => {
      config = next;
      supervisor.reload();
      tellChange(logs, tell, describeChanges(former, next), files, changed, () => taken.note(changed));
    },
    onFault: (faults) => {
      log.error('a changed configuration is not taken; the former one stays in force', { faults });
      tell('config', { result: 'refused', faults });
    },
  });

  const errands: Errands = startErrands({
    folder: deps.folder,
    config: () => config,
    log,
    clock,
    random: deps.random,
    supervisor,
    tell,
    waitingAudits: () => audit.status().waiting,
    onReplaced: watch.check,
  });
  const onStop = (): void => end(undefined);
  deps.stop.addEventListener('abort', onStop, { once: true });
  if (deps.stop.aborted) onStop();
  const endUncaught = deps.onUncaught?.((error) => end(error));

  const failure = await ended;
  watch.close();
  state = 'stopping';
  status.touch();
  // Before the workers: what is on its way goes through them.
  await errands.stop();
  if (failure === undefined) log.info('the agent stops', { graceSeconds: graceMs / 1000 });
  await supervisor.stop(failure === undefined ? graceMs : 0);
  tell('stop', failure === undefined ? {} : { error: toSentence(failure) });
  if (!(await audit.flush(LAST_AUDITS_MS))) log.error('audit lines are lost', { lines: audit.status().waiting });
  await audit.close();
  await taken.settle();
  state = failure === undefined ? 'stopped' : 'failed';
  await status.close();
  const { count, hash } = audit.status();
  if (failure === undefined) log.info('the agent has stopped', { auditLines: count, auditHash: hash });
  else log.fatal('the agent ends', { error: toSentence(failure), auditLines: count, auditHash: hash });
  await logs.writer.close();
  endUncaught?.();
  if (failure !== undefined) throw failure;
}

/** What differs is in the copy that is kept. */
const CHANGED_MEANWHILE: ConfigChanges = {
  applied: ['changed while the agent did not run'],
  atRestart: [],
  auditLines: ['changed while the agent did not run'],
};

type Tell = (kind: AuditKind, fields: AuditEntry, onWritten?: () => void) => void;

function tellChange(
  { log }: AgentLogs,
  tell: Tell,
  { applied, atRestart, auditLines }: ConfigChanges,
  files: readonly ChangedFile[],
  reading: AgentReading,
  onWritten: () => void,
): void {
  tell('config', { result: 'taken', files, changes: auditLines, configuration: hashEdited(reading) }, onWritten);
  log.info('a changed configuration is in force', { files: files.map(({ file }) => file), applied });
  if (atRestart.length > 0) log.warn('a part of the configuration takes effect at the next start', { atRestart });
  for (const { formerFault } of files) if (formerFault !== undefined) log.error(formerFault);
}

/** What ends the agent: nothing where it was asked to. The first one counts. */
function createEnd(): { readonly promise: Promise<Error | undefined>; readonly end: (failure: unknown) => void } {
  let settle: (failure: Error | undefined) => void = () => undefined;
  const promise = new Promise<Error | undefined>((resolve) => {
    settle = resolve;
  });
  const end = (failure: unknown): void => {
    settle(failure === undefined || failure instanceof Error ? failure : new Error('a value that is no error'));
  };
  return { promise, end };
}

const toSentence = (error: Error): string => error.stack ?? error.message;
