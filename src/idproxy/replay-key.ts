import { hash } from 'node:crypto';

import { MAX_CLOCK_TOLERANCE_SECONDS } from '../jose/limits.ts';
import { MAX_CLOCK_SKEW_MS } from '../stores/ports.ts';

/** How the key of a replay record is made from client id and jti. */
export type ReplayKeyFormat = (clientId: string, jti: string) => string;

/** The format in force, and those of earlier versions whose records may still be alive. */
export interface ReplayKeyFormats {
  readonly current: ReplayKeyFormat;
  /** Each stays for one maximum life of an assertion after the upgrade. */
  readonly former: readonly ReplayKeyFormat[];
}

/**
 * SHA-256 of the pair, each part led by its length in bytes, so that ("tenant1", "0abc") and ("tenant10", "abc") never
 * meet. Never the token's text: one token has many spellings. 120 bits of it, behind the 16 that are the tag: stores put the tag before
 * every key, so that two pairs are told apart by 136 bits.
 */
export const REPLAY_KEY_FORMATS: ReplayKeyFormats = {
  current: (clientId, jti) =>
    `jti:v2:${hashPair(clientId, jti).toString('base64url', TAG_BYTES, TAG_BYTES + NAME_BYTES)}`,
  // Until an hour and seven minutes after no instance of version 0.1.0 or earlier runs any more: docs/decisions/0021.
  former: [(clientId, jti) => `jti:v1:${hashPair(clientId, jti).toString('base64url')}`],
};

/**
 * The shard of a `jti`, four hexadecimal characters: its record, in every format, and its session stay together.
 * SECURITY: never changes, whatever becomes of the formats, or a record of a former one is not found.
 */
export function toTag(clientId: string, jti: string): string {
  return hashPair(clientId, jti).toString('hex', 0, TAG_BYTES);
}

const TAG_BYTES = 2;
/** A multiple of three: base64url has one spelling for it. */
const NAME_BYTES = 15;

/**
 * How much longer than the assertion a replay record lives, in milliseconds: twice what two idproxies' clocks may be
 * off, each against the store's.
 */
const MARGIN_MS = 2 * MAX_CLOCK_SKEW_MS;

/**
 * How long a replay record must live from now, in milliseconds: until the last instant at which any idproxy could accept
 * the assertion. Counted with the largest tolerance that an app may be given, since it may be given it later.
 */
export function toReplayLifeMs(expiresAt: number, now: number): number {
  return Math.ceil((expiresAt + MAX_CLOCK_TOLERANCE_SECONDS - now) * 1000) + MARGIN_MS;
}

function hashPair(clientId: string, jti: string): Buffer {
  const input = `${Buffer.byteLength(clientId)}:${clientId}${Buffer.byteLength(jti)}:${jti}`;
  return hash('sha256', input, 'buffer');
}
