import { Redis } from 'ioredis';

import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import { createDeadlines } from './redis-deadlines.ts';
import type { Script } from './redis-script.ts';
import { SCRIPTS } from './redis-scripts.ts';

/** How long a command may take, in milliseconds, before its caller is told 503. */
export const COMMAND_TIMEOUT_MS = 800;
/** How long a server that stopped answering keeps its connection, or a new one takes to be prepared, in milliseconds. */
const STALL_LIMIT_MS = 3_000;
/** The longest pause between two attempts to connect, in milliseconds. */
const RECONNECT_CAP_MS = 1_000;

/** What a store needs of one Redis connection. */
export interface RedisConnection {
  /** The client, for preparations and for what {@link RedisConnection.call} does not fit. */
  readonly client: Redis;
  /** @throws AppError `store_unavailable` at once where the server is absent or has stopped answering */
  checkUsable(): void;
  isUsable(): boolean;
  /** One command whose lateness harms nobody, checked and in time. */
  call<T>(send: (client: Redis) => Promise<T>): Promise<T>;
  /** A deadline on the server's clock, {@link COMMAND_TIMEOUT_MS} from now, in milliseconds. */
  deadlineMs(): number;
  /** How far this process's wall clock is ahead of the server's, by what was learnt last, in milliseconds. */
  skewMs(): number;
  /** Runs a loaded script. The promise is the command's own: it may settle long after {@link RedisConnection.within} gave up. */
  runScript(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** One script whose lateness harms nobody, checked and in time. */
  ask(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /**
   * The command's result, in time.
   * @throws AppError `store_unavailable` on any failure and after {@link COMMAND_TIMEOUT_MS}
   */
  within<T>(command: Promise<T>): Promise<T>;
  /** Learns the server's clock again. */
  learnClock(): Promise<void>;
  /** Runs `prepare` on every new connection before any other command is let through. */
  onReady(prepare: () => Promise<void>): void;
  /** Lets what was sent come to its end, and nothing new in. */
  close(): Promise<void>;
}

const unavailable = (detail: string, cause?: unknown): AppError => new AppError('store_unavailable', { detail, cause });

/**
 * One connection that fails fast and closed: no off-line queue, nothing resent, every command with a time limit; a server
 * that hangs is treated as absent until it answers again.
 */
export function createRedisConnection(url: Secret, clock: Clock, onProblem: (detail: string) => void): RedisConnection {
  const client = new Redis(url.reveal(), {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: COMMAND_TIMEOUT_MS,
    retryStrategy: (attempt) => Math.min(25 * 2 ** attempt, RECONNECT_CAP_MS),
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
  const preparations: (() => Promise<void>)[] = [];
  let isPrepared = false;
  let isClosed = false;
  let isGathering = false;
  let prepareTimer: NodeJS.Timeout | undefined;
  let stalledAtMs: number | undefined;
  let clockOffsetMs = 0;

  const learnClock = async (): Promise<void> => {
    const [seconds, micros] = (await client.time()) as unknown as [number | string, number | string];
    // Measured after the answer, so that the estimate errs towards an earlier deadline.
    clockOffsetMs = Number(seconds) * 1000 + Number(micros) / 1000 - performance.now();
  };

  const prepare = async (): Promise<void> => {
    await learnClock();
    for (const { lua } of SCRIPTS) await client.script('LOAD', lua);
    for (const preparation of preparations) await preparation();
    clearTimeout(prepareTimer);
    isPrepared = true;
    stalledAtMs = undefined;
  };

  client.on('connect', () => {
    // Someone may take the connection and never say a word: a paused server, a proxy whose server is gone.
    prepareTimer = setTimeout(() => {
      onProblem('redis: a new connection was not answered in time');
      client.disconnect(true);
    }, STALL_LIMIT_MS);
    prepareTimer.unref();
  });

  client.on('ready', () => {
    prepare().catch((error: unknown) => {
      onProblem(`redis: a new connection could not be prepared: ${describe(error)}`);
      client.disconnect(true);
    });
  });
  client.on('close', () => {
    clearTimeout(prepareTimer);
    isPrepared = false;
  });
  client.on('error', (error: unknown) => onProblem(`redis: ${describe(error)}`));

  const checkUsable = (): void => {
    if (!isPrepared || isClosed) throw unavailable('redis is not connected');
    if (stalledAtMs === undefined) return;
    if (performance.now() - stalledAtMs > STALL_LIMIT_MS) {
      stalledAtMs = undefined;
      client.disconnect(true);
    }
    throw unavailable('redis has stopped answering');
  };

  const deadlines = createDeadlines({
    timeoutMs: COMMAND_TIMEOUT_MS,
    onLate: () => {
      stalledAtMs ??= performance.now();
      return unavailable(`redis did not answer within ${COMMAND_TIMEOUT_MS} ms`);
    },
    onSettled: () => (stalledAtMs = undefined),
    toFailure: (cause) => (cause instanceof AppError ? cause : unavailable(`redis: ${describe(cause)}`, cause)),
  });

  /** What is sent in this turn of the event loop leaves in one write: measured in groups of 64, a write each costs 10 µs and more. */
  const gather = (): void => {
    if (isGathering) return;
    isGathering = true;
    const { stream } = client;
    stream.cork();
    setImmediate(() => {
      isGathering = false;
      stream.uncork();
    });
  };

  const runScript: RedisConnection['runScript'] = (script, keys, args) => {
    const run = (): Promise<unknown> => client.evalsha(script.sha, keys.length, ...keys, ...args);
    if (isPrepared) gather();
    return run().catch(async (error: unknown) => {
      if (!describe(error).startsWith('NOSCRIPT')) throw error;
      // Someone flushed the scripts, so this one was surely not run; its deadline, where it has one, still stands.
      await client.script('LOAD', script.lua);
      return run();
    });
  };

  return {
    client,
    checkUsable,
    isUsable: () => isPrepared && !isClosed && stalledAtMs === undefined,
    call: async (send) => {
      checkUsable();
      return deadlines.within(send(client));
    },
    within: deadlines.within,
    learnClock,
    skewMs: () => clock.nowSeconds() * 1000 - (performance.now() + clockOffsetMs),
    deadlineMs: () => Math.floor(performance.now() + clockOffsetMs + COMMAND_TIMEOUT_MS),
    runScript,
    ask: async (script, keys, args) => {
      checkUsable();
      return deadlines.within(runScript(script, keys, args));
    },
    onReady: (preparation) => void preparations.push(preparation),
    close: async () => {
      isClosed = true;
      do {
        await deadlines.whenIdle();
        // What failed is undone in the same turn, which makes it pending again.
        await new Promise(setImmediate);
      } while (!deadlines.isIdle());
      clearTimeout(prepareTimer);
      client.disconnect();
    },
  };
}

/** An error's message. ioredis puts no credentials there. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
