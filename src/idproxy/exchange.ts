import type { App } from '../apps/schemas.ts';
import { AppError } from '../core/errors.ts';
import { toStableUuid } from '../core/ids.ts';
import type { ExchangeAttempt, SessionStore } from '../stores/ports.ts';
import { type Bearer, createBearer, createTag, deriveBearer } from './bearer.ts';
import { type ReplayKeyFormats, toReplayLifeMs, toTag } from './replay-key.ts';
import { parseSession, type Session, toSessionBody } from './session.ts';
import type { VerifiedAssertion, VerifyAssertion } from './verify.ts';

/** What whoever presents an assertion gets. */
export interface Grant {
  readonly accessToken: string;
  readonly session: Session;
}

/** Exchanges an assertion for a bearer. `botId` is the bot that the client names beside it. */
export type Exchange = (assertion: string, botId?: string) => Promise<Grant>;

export interface ExchangeDeps {
  readonly verify: VerifyAssertion;
  readonly sessions: SessionStore;
  /** Told the outcome of each exchange: `granted`, `reused`, or the code of the refusal. */
  readonly onOutcome: (outcome: string) => void;
  readonly keys: ExchangeKeys;
  readonly formats: ReplayKeyFormats;
}

/** Keys derived from the master key; the same on every instance. */
export interface ExchangeKeys {
  /** Behind bearers that are derived again within a reuse window. */
  readonly bearer: Uint8Array;
  /** Behind user ids. */
  readonly userId: Uint8Array;
}

/** Verification, then the claim of the `jti` together with the session, in one round trip of the store. */
export function createExchange({ verify, sessions, onOutcome, keys, formats }: ExchangeDeps): Exchange {
  const plan = (verified: VerifiedAssertion): { bearer: Bearer; replay: ExchangeAttempt['replay'] } => {
    const { app, claims, signingInput, verifiedAt } = verified;
    if (claims.jti === undefined) return { bearer: createBearer(createTag()), replay: undefined };
    const key = formats.current(app.clientId, claims.jti);
    const formerKeys = formats.former.map((format) => format(app.clientId, claims.jti as string));
    const expiresInMs = toReplayLifeMs(claims.expiresAt, verifiedAt);
    const reuseWindowMs = app.reuseWindowSeconds * 1000;
    const tag = toTag(app.clientId, claims.jti);
    const bearer = reuseWindowMs > 0 ? deriveBearer(keys.bearer, tag, key, signingInput) : createBearer(tag);
    return { bearer, replay: { key, formerKeys, expiresInMs, reuseWindowMs } };
  };

  const grant = async (assertion: string, botId: string | undefined): Promise<{ outcome: string; grant: Grant }> => {
    const verified = await verify(assertion);
    checkBot(verified.app, botId);
    const { bearer, replay } = plan(verified);
    const session = toSession(verified, keys.userId);
    const outcome = await sessions.exchange({
      tag: bearer.tag,
      ...(replay && { replay }),
      session: {
        key: bearer.sessionKey,
        body: toSessionBody(session),
        expiresInMs: verified.app.bearerLifetimeSeconds * 1000,
      },
    });
    if (outcome.kind === 'replayed') throw new AppError('replayed', { detail: verified.app.clientId });
    const granted = outcome.kind === 'reused' ? parseSession(outcome.body) : session;
    return { outcome: outcome.kind, grant: { accessToken: bearer.text, session: granted } };
  };

  return async function exchange(assertion, botId) {
    try {
      const { outcome, grant: granted } = await grant(assertion, botId);
      onOutcome(outcome);
      return granted;
    } catch (error) {
      onOutcome(error instanceof AppError ? error.code : 'internal');
      throw error;
    }
  };
}

function toSession({ app, claims, verifiedAt }: VerifiedAssertion, userIdKey: Uint8Array): Session {
  const { subject, isAnonymous } = claims;
  // Anonymous and known subjects are two name spaces: nobody becomes known by naming an anonymous id.
  const space = isAnonymous ? 'anonymous' : 'known';
  return {
    clientId: app.clientId,
    subject,
    userId: `u-${toStableUuid(userIdKey, app.clientId, space, subject)}`,
    isAnonymous,
    issuedAt: Math.floor(verifiedAt * 1000) / 1000,
    expiresAt: Math.floor((verifiedAt + app.bearerLifetimeSeconds) * 1000) / 1000,
  };
}

function checkBot({ bots, clientId }: App, botId: string | undefined): void {
  if (botId === undefined || bots.length === 0 || bots.includes(botId)) return;
  throw new AppError('bot_refused', { detail: clientId });
}
