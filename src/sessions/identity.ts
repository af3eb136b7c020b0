import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import type { App } from '../apps/schemas.ts';
import { AppError } from '../core/errors.ts';
import { createToken, toStableUuid } from '../core/ids.ts';
import type { AssertionClaims } from '../jose/claims.ts';
import type { IdentityClaim, NewIdentity, SessionName } from '../stores/ports.ts';

/**
 * How long after the end of a user's last session their conversation still goes on, in seconds, and how long an anonymous user
 * is known for: time to fetch a new assertion.
 */
export const CONVERSATION_GRACE_SECONDS = 300;

/** Random bytes that tell an identity from a later one of the same id. */
const INCARNATION_BYTES = 8;

/** What is kept of a user. Times in seconds since the epoch. */
export interface IdentityFacts {
  readonly subject: string;
  readonly createdAt: number;
}

/** The stored form. */
const storedFacts = z.tuple([z.string(), z.number()]);

/** What an exchange knows of its user. */
export interface VerifiedUser {
  readonly app: App;
  readonly claims: Pick<AssertionClaims, 'subject' | 'isAnonymous' | 'identityToMerge'>;
  readonly verifiedAt: number;
}

/** Names users: the same id for the same user of an app, always, and for nobody else. */
export interface Identities {
  toId(clientId: string, subject: string, isAnonymous: boolean): string;
  /** An identity that is to be stored. */
  create(clientId: string, subject: string, isAnonymous: boolean, now: number): NewIdentity;
  /** Whose session an exchange makes; `proof` is the session that the client showed for the identity to merge. */
  toClaim(user: VerifiedUser, proof: SessionName | undefined): IdentityClaim;
}

/** @param key - derived from the master key; the same on every instance */
export function createIdentities(key: Uint8Array): Identities {
  // SECURITY: anonymous and known subjects are two name spaces: nobody becomes known by naming an anonymous id.
  const toId: Identities['toId'] = (clientId, subject, isAnonymous) =>
    toStableUuid(key, clientId, isAnonymous ? 'anonymous' : 'known', subject);

  const create: Identities['create'] = (clientId, subject, isAnonymous, now) => ({
    id: toId(clientId, subject, isAnonymous),
    owner: clientId,
    isKept: !isAnonymous,
    body: toIdentityBody({ subject, createdAt: Math.floor(now) }),
    incarnation: createToken(INCARNATION_BYTES),
    conversation: randomUUID(),
  });

  return {
    toId,
    create,
    toClaim: ({ app, claims, verifiedAt }, proof) => {
      const { subject, isAnonymous, identityToMerge } = claims;
      const { clientId, merge, autoRegister, bearerLifetimeSeconds } = app;
      const claim = {
        ...create(clientId, subject, isAnonymous, verifiedAt),
        mayCreate: isAnonymous || autoRegister,
        activeMs: (bearerLifetimeSeconds + CONVERSATION_GRACE_SECONDS) * 1000,
      };
      if (identityToMerge === undefined) return claim;
      // SECURITY: taking a known identity is taking over an account; an anonymous user, who is gone in minutes, never does.
      const spaces = merge.allowKnown && !isAnonymous ? [true, false] : [true];
      const ids = spaces.map((isAnon) => toId(clientId, identityToMerge, isAnon));
      return { ...claim, merge: { ids, needsProof: merge.requireProof, ...(proof && { proof }) } };
    },
  };
}

export function toIdentityBody({ subject, createdAt }: IdentityFacts): string {
  return JSON.stringify([subject, createdAt]);
}

/** @throws AppError `internal` when the store holds something else than an identity */
export function parseIdentityBody(body: string): IdentityFacts {
  try {
    const [subject, createdAt] = storedFacts.parse(JSON.parse(body));
    return { subject, createdAt };
  } catch {
    // SECURITY: without its cause: a parser quotes what it could not read, and that is a person's name.
    throw new AppError('internal', { detail: 'a stored identity cannot be read' });
  }
}
