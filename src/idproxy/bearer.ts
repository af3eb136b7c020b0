import { createHash, createHmac, hash } from 'node:crypto';

import { createRandomText } from '../core/random.ts';
import type { SessionName } from '../stores/ports.ts';

/**
 * A bearer: `cs1_<tag>_<43 base64url characters>`, or `cs1_dpop_<tag>_…` where it is bound to a key. The tag names the shard of its
 * session, so that a look-up needs nothing else; the rest are 256 bits. Only its SHA-256 is kept.
 */
export interface Bearer extends SessionName {
  readonly text: string;
  readonly isBound: boolean;
}

const BEARER = /^cs1_(dpop_)?([0-9a-f]{4})_[\w-]{43}$/;
const TAG_BYTES = 2;
const SECRET_BYTES = 32;

const toBearer = (tag: string, secret: string, isBound: boolean): Bearer =>
  parse(`cs1_${isBound ? 'dpop_' : ''}${tag}_${secret}`, tag, isBound);

/** A tag for an assertion without a `jti`. */
export function createTag(): string {
  return createRandomText(TAG_BYTES, 'hex');
}

/** A fresh random bearer. */
export function createBearer(tag: string, isBound = false): Bearer {
  return toBearer(tag, createRandomText(SECRET_BYTES, 'base64url'), isBound);
}

/**
 * The bearer of one assertion, the same each time it is derived. `signingInput` holds its times, so that no later
 * assertion under the same `jti` has the same one. Why derived: docs/decisions/0003.
 * @param jkt - the key that it is bound to. SECURITY: part of what it is derived from: the same assertion with another key, or with
 * none, gets another bearer, which has no session.
 */
export function deriveBearer(
  key: Uint8Array,
  tag: string,
  replayKey: string,
  signingInput: string,
  jkt?: string,
): Bearer {
  const digest = createHash('sha256').update(signingInput).digest();
  const mac = createHmac('sha256', key).update(replayKey).update('\n').update(digest);
  if (jkt !== undefined) mac.update(jkt);
  return toBearer(tag, mac.digest('base64url'), jkt !== undefined);
}

/** A presented bearer. @returns undefined where the text cannot be one */
export function parseBearer(text: string): Bearer | undefined {
  const [, bound, tag] = BEARER.exec(text) ?? [];
  return tag === undefined ? undefined : parse(text, tag, bound !== undefined);
}

function parse(text: string, tag: string, isBound: boolean): Bearer {
  return { text, tag, key: hash('sha256', text, 'base64url'), isBound };
}
