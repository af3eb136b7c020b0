import { AppError } from '../core/errors.ts';
import { createToken } from '../core/ids.ts';
import type { ExchangeAttempt, ExchangeOutcome, SessionStore } from './ports.ts';
import { COMMAND_TIMEOUT_MS, type RedisConnection } from './redis-connection.ts';
import { EXCHANGE, UNDO } from './redis-scripts.ts';

/** Attempts of unknown outcome that are kept for being undone, at most. Past it the oldest is given up. */
const MAX_ORPHANS = 10_000;

interface Orphan {
  readonly keys: readonly string[];
  readonly id: string;
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
 * soon as the server answers again, so that the same assertion can be presented once more.
 */
export function createRedisSessions({ connection, waitReplicas, checkSafe }: RedisSessionsDeps): SessionStore {
  const orphans = new Map<string, Orphan>();
  const toSessionKey = (tag: string, key: string): string => `cs:{${tag}}:ses:${key}`;
  const toReplayKey = (tag: string, key: string): string => `cs:{${tag}}:${key}`;

  const undo = async (orphan: Orphan): Promise<void> => {
    await connection.client.eval(UNDO.lua, orphan.keys.length, ...orphan.keys, orphan.id);
    orphans.delete(orphan.id);
  };
  const adopt = (orphan: Orphan): void => {
    const oldest = orphans.size >= MAX_ORPHANS ? orphans.keys().next().value : undefined;
    if (oldest !== undefined) orphans.delete(oldest);
    orphans.set(orphan.id, orphan);
  };
  // Before the new connection serves anyone: a client that was told 503 presents its assertion again at once.
  connection.onReady(async () => {
    await Promise.all([...orphans.values()].map(undo));
  });

  const send = async (attempt: ExchangeAttempt, id: string, keys: readonly string[]): Promise<ExchangeOutcome> => {
    const { replay, session } = attempt;
    const reply = connection.runScript(EXCHANGE, keys, [
      connection.deadlineMs(),
      id,
      session.body,
      Math.ceil(session.expiresInMs),
      Math.ceil(replay?.expiresInMs ?? 0),
      replay?.reuseWindowMs ?? 0,
    ]);
    // Written behind the script on the same connection, so both make one round trip.
    const copies = waitReplicas > 0 ? connection.client.wait(waitReplicas, COMMAND_TIMEOUT_MS / 2) : undefined;
    const [outcome, copyCount] = await Promise.all([reply, copies]);
    if (copyCount !== undefined && Number(copyCount) < waitReplicas) {
      throw unavailable(`redis: ${Number(copyCount)} of ${waitReplicas} replicas hold the exchange`);
    }
    if (isLate(outcome)) await connection.learnClock();
    return parseOutcome(outcome);
  };

  return {
    exchange: async (attempt) => {
      checkSafe();
      connection.checkUsable();
      const id = createToken(8);
      const { tag, replay, session } = attempt;
      const keys = [toSessionKey(tag, session.key)];
      if (replay) keys.push(...[replay.key, ...replay.formerKeys].map((key) => toReplayKey(tag, key)));
      const orphan = { id, keys: keys.slice(0, 2) };
      const sent = send(attempt, id, keys);
      try {
        return await connection.within(sent);
      } catch (error) {
        adopt(orphan);
        sent.then(
          () => undo(orphan).catch(() => undefined),
          () => undo(orphan).catch(() => undefined),
        );
        throw error;
      }
    },
    find: async (tag, key) => {
      const body = await connection.call((client) => client.get(toSessionKey(tag, key)));
      return body ?? undefined;
    },
    revoke: async (tag, key) => (await connection.call((client) => client.del(toSessionKey(tag, key)))) > 0,
  };
}

const isLate = (reply: unknown): boolean => Array.isArray(reply) && reply[0] === 'late';

function parseOutcome(reply: unknown): ExchangeOutcome {
  const [kind, body]: unknown[] = Array.isArray(reply) ? reply : [];
  if (kind === 'granted' || kind === 'replayed') return { kind };
  if (kind === 'reused' && typeof body === 'string') return { kind, body };
  throw unavailable(isLate(reply) ? 'redis ran the exchange after its deadline' : 'redis gave an unknown answer');
}
