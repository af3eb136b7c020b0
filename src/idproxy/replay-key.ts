import { createHash } from 'node:crypto';

/** How the key of a replay record is made from client id and jti. */
export type ReplayKeyFormat = (clientId: string, jti: string) => string;

/**
 * The format in force: SHA-256 of the pair, each part led by its length in bytes, so that ("tenant1", "0abc") and
 * ("tenant10", "abc") never meet.
 */
export const REPLAY_KEY_FORMAT: ReplayKeyFormat = (clientId, jti) => `jti:v1:${hashPair(clientId, jti)}`;

/** Formats of earlier versions whose records may still be alive; each stays here for one maximum life of an assertion. */
export const FORMER_REPLAY_KEY_FORMATS: readonly ReplayKeyFormat[] = [];

/** How much longer than the assertion a replay record lives, in milliseconds. */
const MARGIN_MS = 5_000;
const MIN_LIFE_MS = 1_000;

/**
 * How long a replay record must live from now, in milliseconds: until the last instant at which the assertion could be
 * accepted, rounded up, plus a margin.
 */
export function toReplayLifeMs(expiresAt: number, toleranceSeconds: number, now: number): number {
  return Math.max(MIN_LIFE_MS, Math.ceil((expiresAt + toleranceSeconds - now) * 1000) + MARGIN_MS);
}

function hashPair(clientId: string, jti: string): string {
  const hash = createHash('sha256');
  for (const part of [clientId, jti]) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  return hash.digest('base64url');
}
