import type { App } from '../apps/schemas.ts';
import { AppError, type ErrorCode } from '../core/errors.ts';
import { toUserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json.ts';
import type { ExchangeAttempt, ExchangeOutcome, IdentityClaim, SessionName, SessionStore } from '../stores/ports.ts';
import { type Bearer, createBearer, createTag, deriveBearer, parseBearer } from './bearer.ts';
import { type ReplayKeyFormats, toReplayLifeMs, toTag } from './replay-key.ts';
import { parseSessionBody, type Session, toSessionBody, toSessionId } from './session.ts';
import { checkCustomData, type UserContexts } from './user-context.ts';
import type { VerifiedAssertion, VerifyAssertion } from './verify.ts';

/** What whoever presents an assertion gets. */
export interface Grant {
  readonly accessToken: string;
  readonly session: Session;
}

/** What a client may say beside its assertion. */
export interface ExchangeOptions {
  /** The bot it wants. */
  readonly botId?: string | undefined;
  /** Unsigned data for the bot. */
  readonly customData?: JsonObject | undefined;
  /** The bearer of the identity that is to be merged. */
  readonly mergeBearer?: string | undefined;
}

/** Exchanges an assertion for a bearer. */
export type Exchange = (assertion: string, options?: ExchangeOptions) => Promise<Grant>;

/** Whose session it will be; `proof` is the session that the client showed for the identity to merge. */
export type ToIdentityClaim = (verified: VerifiedAssertion, proof: SessionName | undefined) => IdentityClaim;

export interface ExchangeDeps {
  readonly verify: VerifyAssertion;
  readonly sessions: SessionStore;
  readonly toIdentityClaim: ToIdentityClaim;
  readonly contexts: UserContexts;
  /** Told the outcome of each exchange: `granted`, `reused`, or the code of the refusal. */
  readonly onOutcome: (outcome: string) => void;
  /** Behind bearers that are derived again within a reuse window; the same on every instance. */
  readonly bearerKey: Uint8Array;
  readonly formats: ReplayKeyFormats;
}

/** Outcomes of the store that refuse an assertion. */
const REFUSALS: Readonly<Record<Exclude<ExchangeOutcome['kind'], 'granted' | 'reused'>, ErrorCode>> = {
  replayed: 'replayed',
  unknown: 'user_unknown',
  unproven: 'merge_unproven',
};

/** Verification, then the claim of the `jti` together with identity and session, in one round trip of the store. */
export function createExchange(deps: ExchangeDeps): Exchange {
  const { verify, sessions, toIdentityClaim, contexts, onOutcome, bearerKey, formats } = deps;

  const plan = (verified: VerifiedAssertion): { bearer: Bearer; replay: ExchangeAttempt['replay'] } => {
    const { app, claims, signingInput, verifiedAt } = verified;
    if (claims.jti === undefined) return { bearer: createBearer(createTag()), replay: undefined };
    const key = formats.current(app.clientId, claims.jti);
    const formerKeys = formats.former.map((format) => format(app.clientId, claims.jti as string));
    const expiresInMs = toReplayLifeMs(claims.expiresAt, verifiedAt);
    const reuseWindowMs = app.reuseWindowSeconds * 1000;
    const tag = toTag(app.clientId, claims.jti);
    const bearer = reuseWindowMs > 0 ? deriveBearer(bearerKey, tag, key, signingInput) : createBearer(tag);
    return { bearer, replay: { key, formerKeys, expiresInMs, reuseWindowMs } };
  };

  const grant = async (
    assertion: string,
    { botId, customData, mergeBearer }: ExchangeOptions,
  ): Promise<{ outcome: string; grant: Grant }> => {
    const unsigned = checkCustomData(customData);
    const verified = await verify(assertion);
    const { app, claims } = verified;
    checkBot(app, botId);
    const { bearer, replay } = plan(verified);
    const identity = toIdentityClaim(verified, mergeBearer === undefined ? undefined : parseBearer(mergeBearer));
    const { privateClaims, secureCustomData } = claims;
    const sealedContext = contexts.seal(toSessionId(bearer), {
      ...(privateClaims && { privateClaims }),
      ...(secureCustomData && { secureCustomData }),
      customData: unsigned,
    });
    const session = toSession(verified, identity.id, sealedContext);
    const outcome = await sessions.exchange({
      tag: bearer.tag,
      ...(replay && { replay }),
      identity,
      session: {
        key: bearer.key,
        body: toSessionBody(session),
        expiresInMs: app.bearerLifetimeSeconds * 1000,
      },
    });
    if (outcome.kind !== 'granted' && outcome.kind !== 'reused')
      throw new AppError(REFUSALS[outcome.kind], { detail: app.clientId });
    const granted = outcome.kind === 'reused' ? { ...session, ...parseSessionBody(outcome.body) } : session;
    return { outcome: outcome.kind, grant: { accessToken: bearer.text, session: granted } };
  };

  return async function exchange(assertion, options = {}) {
    try {
      const { outcome, grant: granted } = await grant(assertion, options);
      onOutcome(outcome);
      return granted;
    } catch (error) {
      onOutcome(error instanceof AppError ? error.code : 'internal');
      throw error;
    }
  };
}

function toSession(
  { app, claims, verifiedAt }: VerifiedAssertion,
  identityId: string,
  sealedContext: string | undefined,
): Session {
  const { subject, isAnonymous } = claims;
  return {
    clientId: app.clientId,
    subject,
    userId: toUserId(identityId),
    isAnonymous,
    issuedAt: Math.floor(verifiedAt * 1000) / 1000,
    expiresAt: Math.floor((verifiedAt + app.bearerLifetimeSeconds) * 1000) / 1000,
    ...(sealedContext !== undefined && { sealedContext }),
  };
}

function checkBot({ bots, clientId }: App, botId: string | undefined): void {
  if (botId === undefined || bots.length === 0 || bots.includes(botId)) return;
  throw new AppError('bot_refused', { detail: clientId });
}
