import { createHash, createHmac, randomBytes } from 'node:crypto';

import type { SessionName } from '../stores/ports.ts';

/**
 * A bearer: `cs1_<tag>_<43 base64url characters>`. The tag names the shard of its session, so that a look-up needs
 * nothing else; the rest are 256 bits. Only its SHA-256 is kept.
 */
export interface Bearer extends SessionName {
  readonly text: string;
}

const BEARER = /^cs1_([0-9a-f]{4})_[\w-]{43}$/;
const TAG_BYTES = 2;
const SECRET_BYTES = 32;

const toBearer = (tag: string, secret: Buffer): Bearer => parse(`cs1_${tag}_${secret.toString('base64url')}`, tag);

/** A tag for an assertion without a `jti`. */
export function createTag(): string {
  return randomBytes(TAG_BYTES).toString('hex');
}

/** A fresh random bearer. */
export function createBearer(tag: string): Bearer {
  return toBearer(tag, randomBytes(SECRET_BYTES));
}

/**
 * The bearer of one assertion, the same each time it is derived. `signingInput` holds its times, so that no later
 * assertion under the same `jti` has the same one. Why derived: docs/decisions/0003.
 */
export function deriveBearer(key: Uint8Array, tag: string, replayKey: string, signingInput: string): Bearer {
  const digest = createHash('sha256').update(signingInput).digest();
  return toBearer(tag, createHmac('sha256', key).update(replayKey).update('\n').update(digest).digest());
}

/** A presented bearer. @returns undefined where the text cannot be one */
export function parseBearer(text: string): Bearer | undefined {
  const tag = BEARER.exec(text)?.[1];
  return tag === undefined ? undefined : parse(text, tag);
}

function parse(text: string, tag: string): Bearer {
  return { text, tag, key: createHash('sha256').update(text).digest('base64url') };
}
