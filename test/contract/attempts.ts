import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';

import { sha256Hex } from '../../src/core/secret.ts';
import { AppError } from '../../src/core/errors.ts';
import type {
  ExchangeAttempt,
  FoundSession,
  IdentityClaim,
  ReplayClaim,
  SessionName,
  Store,
} from '../../src/stores/ports.ts';

const HOUR_MS = 3_600_000;
/** The conversation outlasts the session, as it does in the service. */
const ACTIVE_MS = HOUR_MS + 300_000;

/** The shard of every attempt that does not ask for another one. */
export const TAG = '0a1b';

/** What a test says of an attempt; the rest has the values of an ordinary exchange. */
export interface AttemptTraits {
  readonly tag?: string;
  readonly sessionKey?: string;
  readonly body?: string;
  readonly sessionMs?: number;
  /** The app that the store must hold; none where it is left out. */
  readonly app?: string;
  /** Null: an assertion without `jti`. */
  readonly replay?: Partial<ReplayClaim> | null;
  readonly identity?: Partial<IdentityClaim>;
}

/** Random hexadecimal characters, as long as a SHA-256. */
export const randomKey = (): string => sha256Hex(randomBytes(32).toString('hex'));

/** The name of a replay record in the format that the service writes. */
export const randomReplayKey = (): string => `jti:v1:${randomKey()}`;

/** A kept user whom nobody has seen before, unless `traits` say otherwise. */
export function createIdentity(traits: Partial<IdentityClaim> = {}): IdentityClaim {
  return {
    id: randomUUID(),
    owner: 'cs-1',
    isKept: true,
    body: '["alice",1700000000]',
    incarnation: randomBytes(8).toString('base64url'),
    conversation: randomUUID(),
    mayCreate: true,
    activeMs: ACTIVE_MS,
    ...traits,
  };
}

/** An exchange that meets no other one unless `traits` say so. */
export function createAttempt({ replay = {}, ...traits }: AttemptTraits = {}): ExchangeAttempt {
  const session = {
    key: traits.sessionKey ?? randomKey(),
    body: traits.body ?? '{"sub":"alice"}',
    expiresInMs: traits.sessionMs ?? HOUR_MS,
  };
  const tag = traits.tag ?? TAG;
  const identity = createIdentity(traits.identity);
  const { app } = traits;
  if (replay === null) return { tag, app, session, identity };
  const claim = { key: randomReplayKey(), formerKeys: [], expiresInMs: HOUR_MS, reuseWindowMs: 0, ...replay };
  return { tag, app, session, identity, replay: claim };
}

/** The same `jti` again, under another assertion: its bearer, and so its session, is another one. */
export function withOtherSession(attempt: ExchangeAttempt): ExchangeAttempt {
  return { ...attempt, session: { ...attempt.session, key: randomKey() } };
}

/** Where the session of an attempt is. */
export const sessionNameOf = ({ tag, session }: ExchangeAttempt): SessionName => ({ tag, key: session.key });

/** The body of a live session. @returns undefined where there is none */
export async function findBody(store: Store, tag: string, key: string): Promise<string | undefined> {
  return (await store.sessions.find(tag, key))?.body;
}

/** A session as it is found: with its user, who is now in that conversation. */
export function toFound({ session, identity }: ExchangeAttempt, conversation = identity.conversation): FoundSession {
  const { id, owner, isKept, body } = identity;
  return { body: session.body, identity: { id, owner, isKept, body, conversation } };
}

/** The replay record's key. @throws TypeError on an attempt without `jti` */
export function replayKeyOf({ replay }: ExchangeAttempt): string {
  if (replay === undefined) throw new TypeError('the attempt has no jti');
  return replay.key;
}

/** Asserts that a call fails closed. @returns the operator's detail */
export async function expectUnavailable(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    (value) => assert.fail(`answered ${JSON.stringify(value)} instead of store_unavailable`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof AppError, `not an AppError: ${String(error)}`);
  assert.equal(error.code, 'store_unavailable');
  return error.detail ?? '';
}

/** Polls until `isReached` says yes. @throws AssertionError after `timeoutMs` */
export async function until(
  isReached: () => Promise<boolean> | boolean,
  what: string,
  timeoutMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isReached())) {
    assert.ok(performance.now() < deadline, `not within ${timeoutMs} ms: ${what}`);
    await wait(10);
  }
}
