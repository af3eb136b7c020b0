import { randomInt } from 'node:crypto';

import { createToken } from '../core/ids.ts';
import type { ExchangeAttempt } from './ports.ts';
import { toReplayKey, toSessionKey } from './redis-keys.ts';

/** Below it Redis has every number once, and a record that is one needs no memory for it. */
const SHARED_NUMBERS = 10_000;

/** How records tell attempts apart. */
export interface AttemptName {
  /** Different for every attempt of every process. */
  readonly id: string;
  /** A number from 1 to 9999, different for attempts of one process that are close together. */
  readonly mark: string;
}

export function createAttemptNames(): () => AttemptName {
  const process = createToken(8);
  let count = randomInt(SHARED_NUMBERS);
  return () => {
    count++;
    return { id: `${process}${count}`, mark: String(1 + (count % (SHARED_NUMBERS - 1))) };
  };
}

/** The keys of the script EXCHANGE. */
export function toExchangeKeys({ tag, session, replay }: ExchangeAttempt): string[] {
  const keys = [toSessionKey(tag, session.key)];
  if (replay === undefined) return keys;
  keys.push(toReplayKey(tag, replay.key));
  for (const key of replay.formerKeys) keys.push(toReplayKey(tag, key));
  return keys;
}

/**
 * The arguments of the script EXCHANGE. What has one form is one argument: measured, each argument costs 0.15 µs.
 * @param deadlineMs - on the server's clock
 */
export function toExchangeArguments(
  attempt: ExchangeAttempt,
  deadlineMs: number,
  { id: attemptId, mark }: AttemptName,
): string[] {
  const { app = '', replay, session, identity } = attempt;
  const { id, owner, isKept, body, incarnation, conversation, mayCreate, activeMs, merge } = identity;
  const lives = `${Math.ceil(session.expiresInMs)} ${Math.ceil(replay?.expiresInMs ?? 0)} ${Math.floor(replay?.reuseWindowMs ?? 0)}`;
  const flags = `${isKept ? 1 : 0}${mayCreate ? 1 : 0}${merge?.needsProof ? 1 : 0}`;
  const head = `${deadlineMs} ${mark} ${attemptId} ${lives} ${Math.ceil(activeMs)} ${flags} ${incarnation}`;
  const args = [head, session.body, app, owner, body, id, conversation];
  if (merge === undefined) return args;
  const { proof, ids } = merge;
  args.push(proof ? toSessionKey(proof.tag, proof.key) : '', ...ids);
  return args;
}
