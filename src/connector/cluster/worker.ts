import type { Clock } from '../../core/clock.ts';
import type { AgentConfig } from '../config/agent-config.ts';
import type { AppLog } from '../logs/app-log.ts';
import { type Channel, createChannel, type Port, type ToPrimary, type ToWorker } from './channel.ts';
import { fromWire } from './config-wire.ts';
import { type AuditSink, createLineSender, type LineSender } from './line-sender.ts';

/** How often a worker looks whether its status has changed without being told so, in milliseconds. */
export const STATUS_EVERY_MS = 2_000;
/** Changes of a worker's status within this time are told together, in milliseconds. */
export const GATHER_STATUS_MS = 50;
/** How long a worker waits at its end until its last lines are written, in milliseconds. */
export const LAST_LINES_MS = 5_000;

/** What the job of a worker gets. */
export interface WorkerContext {
  readonly config: AgentConfig;
  readonly log: AppLog;
  readonly audit: AuditSink;
  /** From 1. */
  readonly worker: number;
  /** One start of the agent: the same for all its workers. */
  readonly instance: string;
  /** Asks the primary. @throws what it says, or that it did not answer in time */
  readonly ask: (name: string, payload: unknown) => Promise<unknown>;
  /** The status is another one: it is told soon. */
  readonly onStatusChange: () => void;
}

/** The work of one worker. */
export interface WorkerJob {
  reload(config: AgentConfig): void;
  /** For the status file: nothing secret. */
  status(): unknown;
  /** Finishes what runs, within `graceMs`. */
  stop(graceMs: number): Promise<void>;
  /** Answers a question of the primary. */
  answer?(name: string, payload: unknown): Promise<unknown>;
}

export type StartWorker = (context: WorkerContext) => WorkerJob | Promise<WorkerJob>;

export interface WorkerDeps {
  readonly clock: Clock;
  readonly startWorker: StartWorker;
  /** Told of errors that nobody caught. @returns what ends that */
  readonly onUncaught?: (listener: (error: unknown) => void) => () => void;
}

interface Running {
  readonly job: WorkerJob;
  readonly sender: LineSender;
}

/** Runs a worker at one end of a port. Resolves when the primary has asked it to stop and it has. */
export async function runWorker(port: Port, { clock, startWorker, onUncaught }: WorkerDeps): Promise<void> {
  let config: AgentConfig;
  let running: Promise<Running> | undefined;
  let sender: LineSender | undefined;
  let job: WorkerJob | undefined;
  let told: string | undefined;
  let telling: NodeJS.Timeout | undefined;
  let isStopping = false;

  const done = new Promise<void>((resolve, reject) => {
    const start = async (message: Extract<ToWorker, { type: 'start' }>): Promise<Running> => {
      config = fromWire(message.config) as AgentConfig;
      const levels = () => ({ app: config.logs.app.level, audit: config.logs.audit.level });
      sender = createLineSender({ worker: message.worker, levels, clock, send: (entries) => channel.send(entries) });
      const { log, audit } = sender;
      job = await startWorker({
        config,
        log,
        audit,
        worker: message.worker,
        instance: message.instance,
        ask: channel.ask,
        onStatusChange: tellSoon,
      });
      channel.send({ type: 'ready' });
      tellStatus();
      return { job, sender };
    };

    const tellSoon = (): void => {
      telling ??= setTimeout(tellStatus, GATHER_STATUS_MS).unref();
    };

    const tellStatus = (): void => {
      clearTimeout(telling);
      telling = undefined;
      const status = job?.status();
      const text = JSON.stringify(status);
      if (text === told) return;
      told = text;
      channel.send({ type: 'status', status });
    };

    const stop = async (graceMs: number): Promise<void> => {
      if (isStopping) return;
      isStopping = true;
      const { job: stopping, sender: last } = (await running) ?? {};
      await stopping?.stop(graceMs);
      tellStatus();
      await last?.flush(LAST_LINES_MS);
      resolve();
    };

    const fail = (error: unknown): void => {
      const stack = error instanceof Error ? error.stack : String(error);
      sender?.log.critical('a worker ends: an error that nobody caught', { error: stack });
      void rejectAfterLastLines(error);
    };

    const rejectAfterLastLines = async (error: unknown): Promise<void> => {
      await sender?.flush(LAST_LINES_MS);
      reject(error instanceof Error ? error : new Error('a value that is no error'));
    };

    const channel: Channel<ToPrimary> = createChannel<ToWorker, ToPrimary>(
      port,
      (message) => {
        if (message.type === 'ack') sender?.onAck(message.logs, message.audits);
        else if (message.type === 'stop') void stop(message.graceMs).catch(fail);
        else if (message.type === 'start') (running = start(message)).catch(fail);
        else if (message.type === 'reload') {
          config = fromWire(message.config) as AgentConfig;
          void running?.then(({ job: reloading }) => reloading.reload(config)).catch(fail);
        }
      },
      async (name, payload) => {
        const { job: answering } = (await running) ?? {};
        if (answering?.answer === undefined) throw new Error(`${name}: this worker does not answer that`);
        return answering.answer(name, payload);
      },
    );

    channel.send({ type: 'hello' });
    const endUncaught = onUncaught?.(fail);
    const timer = setInterval(tellStatus, STATUS_EVERY_MS).unref();
    void Promise.resolve().then(async () => {
      await done.catch(() => undefined);
      clearInterval(timer);
      clearTimeout(telling);
      endUncaught?.();
      channel.close();
    });
  });
  return done;
}
