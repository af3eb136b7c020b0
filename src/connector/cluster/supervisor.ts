import type { Clock } from '../../core/clock.ts';
import type { AppLog } from '../logs/app-log.ts';
import { type AnswerQuestion, type Channel, createChannel, type ToPrimary, type ToWorker } from './channel.ts';
import type { Fork, WorkerHandle } from './fork.ts';

/** The first wait before a worker is started again, at most, in milliseconds. It doubles, up to {@link MAX_RESTART_MS}. */
export const MIN_RESTART_MS = 1_000;
/** The longest wait before a worker is started again, in milliseconds. */
export const MAX_RESTART_MS = 30_000;
/** A worker that has lived so long was healthy: the next wait is short again, in milliseconds. */
export const HEALTHY_MS = 60_000;
/** Early deaths of each worker in a row, before the agent gives up. */
export const MAX_EARLY_DEATHS = 8;
/** Beyond what a worker is given to finish, until it is ended, in milliseconds. */
export const KILL_AFTER_MS = 7_000;
/** How long acknowledgements of lines are collected, in milliseconds. */
export const ACK_EVERY_MS = 25;

/** One worker, as the status file shows it. */
export interface WorkerStatus {
  readonly worker: number;
  readonly pid: number | undefined;
  readonly state: 'starting' | 'running' | 'waiting' | 'stopped';
  /** Seconds since the epoch. */
  readonly since: number;
  readonly restarts: number;
  /** What its job says. */
  readonly agent: unknown;
}

export interface SupervisorDeps {
  readonly count: number;
  readonly fork: Fork;
  readonly clock: Clock;
  /** A random whole number from 0 up to, but not including, `below`. */
  readonly random: (below: number) => number;
  readonly log: AppLog;
  readonly instance: string;
  /** The configuration in force, as it goes to a worker. */
  readonly config: () => unknown;
  readonly takeLogs: (lines: readonly string[]) => void;
  readonly takeAudits: (texts: readonly string[], onWritten: () => void) => void;
  readonly answer: AnswerQuestion;
  readonly onWorkerEnd: (worker: number, how: string) => void;
  readonly onStatusChange: () => void;
  /** No worker stays alive. */
  readonly onGiveUp: (why: string) => void;
  readonly minRestartMs?: number;
}

/** Keeps the workers alive. */
export interface Supervisor {
  reload(): void;
  /**
   * Asks the workers that run, each time another one first, until one has an answer.
   * @returns undefined where none has
   * @throws where none runs, or what one says
   */
  ask(name: string, payload: unknown): Promise<unknown>;
  status(): readonly WorkerStatus[];
  /** Lets the workers finish within `graceMs`; resolves when all have ended. */
  stop(graceMs: number): Promise<void>;
}

interface Slot {
  readonly worker: number;
  state: WorkerStatus['state'];
  since: number;
  restarts: number;
  earlyDeaths: number;
  agent: unknown;
  handle: WorkerHandle | undefined;
  channel: Channel<ToWorker> | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** Starts the workers. */
export function startSupervisor(deps: SupervisorDeps): Supervisor {
  const { count, fork, clock, random, log, instance, config, minRestartMs = MIN_RESTART_MS } = deps;
  let isStopping = false;
  let graceMs = 0;
  let asked = 0;

  const setState = (slot: Slot, state: Slot['state']): void => {
    slot.state = state;
    slot.since = clock.nowSeconds();
    deps.onStatusChange();
  };

  const run = (slot: Slot): void => {
    const handle = fork();
    const startedAt = performance.now();
    const onMessage = (message: ToPrimary): void => {
      if (message.type === 'entries') {
        take(message.logs, message.audits, acks);
      } else if (message.type === 'hello') {
        if (isStopping) channel.send({ type: 'stop', graceMs });
        else channel.send({ type: 'start', worker: slot.worker, instance, config: config() });
      } else if (message.type === 'ready') {
        log.info('a worker runs', { worker: slot.worker, pid: handle.pid });
        setState(slot, 'running');
      } else if (message.type === 'status') {
        slot.agent = message.status;
        deps.onStatusChange();
      }
    };
    const channel = createChannel<ToPrimary, ToWorker>(handle.port, onMessage, deps.answer);
    const acks = createAcks((logs, audits) => channel.send({ type: 'ack', logs, audits }));
    Object.assign(slot, { handle, channel, agent: undefined });
    setState(slot, 'starting');
    void handle.exited.then((how) => {
      channel.close();
      acks.close();
      Object.assign(slot, { handle: undefined, channel: undefined });
      onEnd(slot, how, performance.now() - startedAt);
    });
  };

  const take = (logs: string, audits: string, acks: Acks): void => {
    if (logs !== '') {
      const lines = logs.split('\n');
      deps.takeLogs(lines);
      acks.add(lines.length, 0);
    }
    if (audits !== '') {
      const texts = audits.split('\n');
      deps.takeAudits(texts, () => acks.add(0, texts.length));
    }
  };

  const onEnd = (slot: Slot, how: string, livedMs: number): void => {
    if (isStopping) return setState(slot, 'stopped');
    log.critical('a worker has ended and is started again', { worker: slot.worker, how });
    deps.onWorkerEnd(slot.worker, how);
    slot.earlyDeaths = livedMs >= HEALTHY_MS ? 0 : slot.earlyDeaths + 1;
    slot.restarts++;
    setState(slot, 'waiting');
    if (slots.every(({ earlyDeaths }) => earlyDeaths >= MAX_EARLY_DEATHS)) return deps.onGiveUp(how);
    const longest = Math.min(MAX_RESTART_MS, minRestartMs * 2 ** Math.max(0, slot.earlyDeaths - 1));
    slot.timer = setTimeout(() => run(slot), random(longest));
  };

  const slots = Array.from({ length: count }, (_, index): Slot => ({
    worker: index + 1,
    state: 'starting',
    since: clock.nowSeconds(),
    restarts: 0,
    earlyDeaths: 0,
    agent: undefined,
    handle: undefined,
    channel: undefined,
    timer: undefined,
  })); // prettier-ignore
  slots.forEach(run);

  const stopSlot = async (slot: Slot): Promise<void> => {
    clearTimeout(slot.timer);
    const { handle, channel } = slot;
    if (handle === undefined || channel === undefined) return setState(slot, 'stopped');
    channel.send({ type: 'stop', graceMs });
    const timer = setTimeout(() => {
      log.warn('a worker did not stop in time and is ended', { worker: slot.worker });
      handle.kill();
    }, graceMs + KILL_AFTER_MS);
    await handle.exited;
    clearTimeout(timer);
  };

  return {
    reload: () => slots.forEach(({ channel }) => channel?.send({ type: 'reload', config: config() })),
    ask: async (name, payload) => {
      const running = slots.filter(({ state, channel }) => state === 'running' && channel !== undefined);
      if (running.length === 0) throw new Error(`${name}: no worker runs`);
      const first = asked++ % running.length;
      for (const slot of [...running.slice(first), ...running.slice(0, first)]) {
        const answer = await slot.channel?.ask(name, payload);
        if (answer !== undefined) return answer;
      }
      return undefined;
    },
    status: () =>
      slots.map(({ worker, state, since, restarts, agent, handle }) => ({
        worker, pid: handle?.pid, state, since, restarts, agent,
      })), // prettier-ignore
    stop: async (ms) => {
      isStopping = true;
      graceMs = ms;
      await Promise.all(slots.map(stopSlot));
    },
  };
}

interface Acks {
  add(logs: number, audits: number): void;
  close(): void;
}

function createAcks(send: (logs: number, audits: number) => void): Acks {
  let [logs, audits] = [0, 0];
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    timer = undefined;
    send(logs, audits);
    [logs, audits] = [0, 0];
  };
  return {
    add: (moreLogs, moreAudits) => {
      logs += moreLogs;
      audits += moreAudits;
      timer ??= setTimeout(flush, ACK_EVERY_MS);
    },
    close: () => clearTimeout(timer),
  };
}
