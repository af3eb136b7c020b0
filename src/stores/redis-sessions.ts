import { AppError } from '../core/errors.ts';
import { createToken } from '../core/ids.ts';
import {
  APP_GONE,
  type Ending,
  type ExchangeAttempt,
  type ExchangeOutcome,
  type FoundSession,
  type IdentityClaim,
  type SessionStore,
} from './ports.ts';
import { COMMAND_TIMEOUT_MS, type RedisConnection } from './redis-connection.ts';
import { toReplayKey, toSessionKey } from './redis-keys.ts';
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
    const { replay, session, identity, app } = attempt;
    const answer = await connection.runScript(EXCHANGE, keys, [
      connection.deadlineMs(),
      id,
      session.body,
      Math.ceil(session.expiresInMs),
      Math.ceil(replay?.expiresInMs ?? 0),
      replay?.reuseWindowMs ?? 0,
      ...toIdentityArguments(identity, app),
    ]);
    if (isLate(answer)) await connection.learnClock();
    const outcome = parseOutcome(answer);
    if (waitReplicas === 0 || !isWritten(outcome)) return outcome;
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

function toIdentityArguments({ merge, ...identity }: IdentityClaim, app = ''): (string | number)[] {
  const { id, owner, isKept, body, incarnation, conversation, mayCreate, activeMs } = identity;
  const proof = merge?.proof;
  const user = [id, owner, isKept ? 1 : 0, body, incarnation, conversation, mayCreate ? 1 : 0, Math.ceil(activeMs)];
  const proofKey = proof ? toSessionKey(proof.tag, proof.key) : '';
  return [...user, merge?.needsProof ? 1 : 0, proofKey, app, ...(merge?.ids ?? [])];
}

const isLate = (reply: unknown): boolean => Array.isArray(reply) && reply[0] === 'late';

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
  const [kind, body] = Array.isArray(reply) ? (reply as unknown[]) : [];
  if (isPlainOutcome(kind)) return { kind };
  if (kind === 'reused' && typeof body === 'string') return { kind, body };
  throw unavailable((typeof kind === 'string' && REFUSED_ANSWERS[kind]) || 'redis gave an unknown answer');
}
