import { AppError } from '../core/errors.ts';
import { createToken } from '../core/ids.ts';
import type { ExchangeAttempt, ExchangeOutcome, SessionStore } from './ports.ts';
import { COMMAND_TIMEOUT_MS, type RedisConnection } from './redis-connection.ts';
import { EXCHANGE, UNDO } from './redis-scripts.ts';

/** Attempts of unknown outcome that are kept for being undone, at most. Past it the oldest is given up. */
const MAX_ORPHANS = 10_000;
/** How long the replicas may take, in milliseconds. Everything else on the connection waits as long. */
const COPY_TIMEOUT_MS = 250;
/** How often orphans that are left are undone, in milliseconds. */
const SWEEP_EVERY_MS = 1_000;
/** What the clocks may drift apart between two readings, in milliseconds. */
const DRIFT_MS = 100;

interface Orphan {
  /** The session's, the replay record's. */
  readonly keys: readonly string[];
  readonly id: string;
  /** When the server refuses the script as late for certain, on `performance.now()`'s clock, in milliseconds. */
  readonly lateAtMs: number;
}

export interface RedisSessionsDeps {
  readonly connection: RedisConnection;
  /** Replicas that must hold an exchange before it is granted; 0 for none. */
  readonly waitReplicas: number;
  /** @throws AppError where the server's settings make its answers unsafe */
  readonly checkSafe: () => void;
}

const unavailable = (detail: string): AppError => new AppError('store_unavailable', { detail });

/**
 * Sessions and replay records in Redis. An attempt whose answer did not come in time is an orphan: its caller was told
 * 503, so nobody has its bearer. Either the script runs after its deadline and refuses, or what it wrote is taken back as
 * soon as the server answers again, so that the same assertion can be presented once more. Without a `jti` there is
 * nothing to take back: the assertion may come again, and nobody can use the session.
 */
export function createRedisSessions({ connection, waitReplicas, checkSafe }: RedisSessionsDeps): {
  store: SessionStore;
  close: () => void;
} {
  const orphans = new Map<string, Orphan>();
  const toSessionKey = (tag: string, key: string): string => `cs:{${tag}}:ses:${key}`;
  const toReplayKey = (tag: string, key: string): string => `cs:{${tag}}:${key}`;

  // An undo that comes before the deadline may overtake its attempt on another connection: only a later one is the last.
  const undo = async (orphan: Orphan): Promise<void> => {
    const isLast = performance.now() > orphan.lateAtMs;
    await connection.runScript(UNDO, orphan.keys, [orphan.id]);
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

  // Grants of one turn share one WAIT: it covers all that the connection wrote before, and blocks it meanwhile.
  let copies: Promise<number> | undefined;
  const countCopies = (): Promise<number> =>
    (copies ??= new Promise((resolve) => {
      setImmediate(() => {
        copies = undefined;
        resolve(connection.client.wait(waitReplicas, COPY_TIMEOUT_MS));
      });
    }));

  const send = async (attempt: ExchangeAttempt, id: string, keys: readonly string[]): Promise<ExchangeOutcome> => {
    const { replay, session } = attempt;
    const answer = await connection.runScript(EXCHANGE, keys, [
      connection.deadlineMs(),
      id,
      session.body,
      Math.ceil(session.expiresInMs),
      Math.ceil(replay?.expiresInMs ?? 0),
      replay?.reuseWindowMs ?? 0,
    ]);
    if (isLate(answer)) await connection.learnClock();
    const outcome = parseOutcome(answer);
    if (waitReplicas === 0 || outcome.kind === 'replayed') return outcome;
    const copyCount = await countCopies();
    if (copyCount < waitReplicas)
      throw unavailable(`redis: ${copyCount} of ${waitReplicas} replicas hold the exchange`);
    return outcome;
  };

  const exchange = async (attempt: ExchangeAttempt): Promise<ExchangeOutcome> => {
    connection.checkUsable();
    checkSafe();
    const id = createToken(8);
    const { tag, replay, session } = attempt;
    const keys = [toSessionKey(tag, session.key)];
    if (replay) keys.push(...[replay.key, ...replay.formerKeys].map((key) => toReplayKey(tag, key)));
    const orphan = { id, keys: keys.slice(0, 2), lateAtMs: performance.now() + COMMAND_TIMEOUT_MS + DRIFT_MS };
    const sent = send(attempt, id, keys);
    try {
      return await connection.within(sent);
    } catch (error) {
      if (replay) {
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
      const body = await connection.call((client) => client.get(toSessionKey(tag, key)));
      return body ?? undefined;
    },
    revoke: async (tag, key) => (await connection.call((client) => client.del(toSessionKey(tag, key)))) > 0,
  };
  return { store, close: () => clearInterval(sweeper) };
}

const isLate = (reply: unknown): boolean => Array.isArray(reply) && reply[0] === 'late';

function parseOutcome(reply: unknown): ExchangeOutcome {
  const [kind, body] = Array.isArray(reply) ? (reply as unknown[]) : [];
  if (kind === 'granted' || kind === 'replayed') return { kind };
  if (kind === 'reused' && typeof body === 'string') return { kind, body };
  throw unavailable(isLate(reply) ? 'redis ran the exchange after its deadline' : 'redis gave an unknown answer');
}
