import { AppError } from '../core/errors.ts';
import {
  APP_GONE,
  type Ending,
  type ExchangeAttempt,
  type ExchangeOutcome,
  type FoundSession,
  type SessionStore,
} from './ports.ts';
import { COMMAND_TIMEOUT_MS, type RedisConnection } from './redis-connection.ts';
import {
  type AttemptName,
  createAttemptNames,
  toExchangeArguments,
  toExchangeKeys,
} from './redis-exchange-arguments.ts';
import { toSessionKey } from './redis-keys.ts';
import { EXCHANGE, FIND, PURGE, REVOKE, UNDO } from './redis-session-scripts.ts';

/** Attempts of unknown outcome that are kept for being undone, at most. Past it the oldest is given up. */
const MAX_ORPHANS = 10_000;
/** How long the replicas may take, in milliseconds. Everything else on the connection waits as long. */
const COPY_TIMEOUT_MS = 250;
/** How often orphans that are left are undone, in milliseconds. */
const SWEEP_EVERY_MS = 1_000;
/** What the clocks may drift apart between two readings, in milliseconds. */
const DRIFT_MS = 100;

/** Keys that one step of a purge looks at. */
const PURGED_AT_ONCE = 1_000;

interface Orphan extends AttemptName {
  /** The session's, the replay record's. */
  readonly keys: readonly string[];
  /** When the server refuses the script as late for certain, on `performance.now()`'s clock, in milliseconds. */
  readonly lateAtMs: number;
}

export interface RedisSessionsDeps {
  readonly connection: RedisConnection;
  /** Replicas that must hold an exchange before it is granted; 0 for none. */
  readonly waitReplicas: number;
  /** @throws AppError where the server's settings make its answers unsafe */
  readonly checkSafe: () => void;
  /** Told what this process ended, without waiting for its own publication. */
  readonly onEnded: (ending: Ending) => void;
}

const unavailable = (detail: string): AppError => new AppError('store_unavailable', { detail });

/**
 * Sessions and replay records in Redis. An attempt whose answer did not come in time is an orphan: its caller was told
 * 503, so nobody has its bearer. Either the script runs after its deadline and refuses, or what it wrote is taken back as
 * soon as the server answers again, so that the same assertion can be presented once more. Without a `jti` there is
 * nothing to take back: the assertion may come again, and nobody can use the session.
 */
export function createRedisSessions({ connection, waitReplicas, checkSafe, onEnded }: RedisSessionsDeps): {
  store: SessionStore;
  close: () => void;
} {
  const orphans = new Map<string, Orphan>();
  const createName = createAttemptNames();

  // An undo that comes before the deadline may overtake its attempt on another connection: only a later one is the last.
  const undo = async (orphan: Orphan): Promise<void> => {
    const isLast = performance.now() > orphan.lateAtMs;
    await connection.runScript(UNDO, orphan.keys, [orphan.id, orphan.mark]);
    if (isLast) orphans.delete(orphan.id);
  };
  // What fails here is left to the sweep and to the next connection.
  const undoSoon = (orphan: Orphan): void => void connection.within(undo(orphan)).catch(() => undefined);
  const adopt = (orphan: Orphan): void => {
    const oldest = orphans.size >= MAX_ORPHANS ? orphans.keys().next().value : undefined;
    if (oldest !== undefined) orphans.delete(oldest);
    orphans.set(orphan.id, orphan);
  };
  // Before the new connection serves anyone: a client that was told 503 presents its assertion again at once.
  connection.onReady(async () => {
    await Promise.all([...orphans.values()].map(undo));
  });
  const sweeper = setInterval(() => {
    if (connection.isUsable()) orphans.forEach(undoSoon);
  }, SWEEP_EVERY_MS);
  sweeper.unref();

  // A WAIT covers all that the connection wrote before, and blocks it meanwhile: grants of one turn share one, and all that come while one
  // blocks share the next. Were each turn to send its own, those behind them would not be answered in time.
  let copies: Promise<number> | undefined;
  let blocked: Promise<unknown> = Promise.resolve();
  const waitForCopies = async (): Promise<number> => {
    await blocked;
    await new Promise(setImmediate);
    copies = undefined;
    const counted = connection.client.wait(waitReplicas, COPY_TIMEOUT_MS);
    blocked = counted.catch(() => undefined);
    return counted;
  };
  const countCopies = (): Promise<number> => (copies ??= waitForCopies());

  const withCopies = async (outcome: ExchangeOutcome): Promise<ExchangeOutcome> => {
    if (!isWritten(outcome)) return outcome;
    const copyCount = await countCopies();
    if (copyCount < waitReplicas)
      throw unavailable(`redis: ${copyCount} of ${waitReplicas} replicas hold the exchange`);
    return outcome;
  };
  const toOutcome = async (answer: unknown): Promise<ExchangeOutcome> => {
    if (isLate(answer)) await connection.learnClock();
    const outcome = parseOutcome(answer);
    return waitReplicas === 0 ? outcome : withCopies(outcome);
  };

  const exchange = async (attempt: ExchangeAttempt): Promise<ExchangeOutcome> => {
    connection.checkUsable();
    checkSafe();
    const name = createName();
    const keys = toExchangeKeys(attempt);
    const lateAtMs = performance.now() + COMMAND_TIMEOUT_MS + DRIFT_MS;
    const args = toExchangeArguments(attempt, connection.deadlineMs(), name);
    const sent = connection.runScript(EXCHANGE, keys, args).then(toOutcome);
    try {
      return await connection.within(sent);
    } catch (error) {
      if (attempt.replay) {
        const orphan = { ...name, keys: keys.slice(0, 2), lateAtMs };
        adopt(orphan);
        sent.then(
          () => undoSoon(orphan),
          () => undoSoon(orphan),
        );
      }
      throw error;
    }
  };

  const store: SessionStore = {
    exchange,
    find: async (tag, key) => {
      const reply = await connection.ask(FIND, [toSessionKey(tag, key)], []);
      if (!Array.isArray(reply)) return undefined;
      const [body, id, owner, isKept, identityBody, conversation] = reply as string[];
      return {
        body,
        identity: { id, owner, isKept: isKept === '1', body: identityBody, conversation },
      } as FoundSession;
    },
    revoke: async (tag, key) => {
      const id = `${tag}.${key}`;
      const isRevoked = (await connection.ask(REVOKE, [toSessionKey(tag, key)], [id])) === 1;
      if (isRevoked) onEnded({ kind: 'session', id });
      return isRevoked;
    },
    purge: async () => {
      let cursor = '0';
      do {
        const at = cursor;
        const [next, keys] = await connection.call((client) =>
          client.scan(at, 'MATCH', toSessionKey('*', '*'), 'COUNT', PURGED_AT_ONCE),
        );
        if (keys.length > 0) await connection.ask(PURGE, keys, []);
        cursor = next;
      } while (cursor !== '0');
    },
  };
  return { store, close: () => clearInterval(sweeper) };
}

/** Outcomes that leave something which replicas must hold. */
const isWritten = ({ kind }: ExchangeOutcome): boolean => kind === 'granted' || kind === 'reused';

const isLate = (reply: unknown): boolean => reply === 'late';

/** Answers of the script that grant nothing and leave nothing, and what they say. */
const REFUSED_ANSWERS: Readonly<Record<string, string>> = {
  late: 'redis ran the exchange after its deadline',
  appless: APP_GONE,
};

const PLAIN_OUTCOMES = ['granted', 'replayed', 'unknown', 'unproven'] as const;

function isPlainOutcome(kind: unknown): kind is (typeof PLAIN_OUTCOMES)[number] {
  return (PLAIN_OUTCOMES as readonly unknown[]).includes(kind);
}

function parseOutcome(reply: unknown): ExchangeOutcome {
  const [kind, body] = Array.isArray(reply) ? (reply as unknown[]) : [reply];
  if (isPlainOutcome(kind)) return { kind };
  if (kind === 'reused' && typeof body === 'string') return { kind, body };
  throw unavailable((typeof kind === 'string' && REFUSED_ANSWERS[kind]) || 'redis gave an unknown answer');
}
