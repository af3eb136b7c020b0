import type { App } from '../apps/schemas.ts';
import { AppError, type ErrorCode } from '../core/errors.ts';
import { toUserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json.ts';
import type { ExchangeAttempt, ExchangeOutcome, IdentityClaim, SessionName, SessionStore } from '../stores/ports.ts';
import type { AccessTokens } from './access-token.ts';
import type { FindSession } from './authenticate.ts';
import { type Bearer, createBearer, createTag, deriveBearer } from './bearer.ts';
import { type KeyProof, toDpopError } from './dpop.ts';
import type { AppPlace, TakePlace } from './limit-apps.ts';
import type { AssertionKind } from './profiles.ts';
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
  /** The key that the bearer is to be bound to. */
  readonly keyProof?: KeyProof | undefined;
  /** The format that its bearer must have. */
  readonly format?: App['accessTokenFormat'] | undefined;
  /** The kinds of assertions that are taken; `jwt` alone where it is left out. */
  readonly kinds?: readonly AssertionKind[];
}

/** Exchanges an assertion for a bearer. */
export type Exchange = (assertion: string, options?: ExchangeOptions) => Promise<Grant>;

/** Whose session it will be; `proof` is the session that the client showed for the identity to merge. */
export type ToIdentityClaim = (verified: VerifiedAssertion, proof: SessionName | undefined) => IdentityClaim;

export interface ExchangeDeps {
  readonly verify: VerifyAssertion;
  /** Asked of apps that have a limit, after verification and before anything is used up. */
  readonly takePlace: TakePlace;
  readonly sessions: SessionStore;
  readonly toIdentityClaim: ToIdentityClaim;
  readonly contexts: UserContexts;
  readonly accessTokens: AccessTokens;
  readonly findSession: FindSession;
  /** Told the outcome of each exchange: `granted`, `reused`, or the code of the refusal. */
  readonly onOutcome: (outcome: string) => void;
  /** Behind bearers that are derived again within a reuse window: the same on every instance until the master key is rotated. */
  readonly bearerKey: () => Uint8Array;
  readonly formats: ReplayKeyFormats;
}

const NOT_HERE = 'an identity assertion (ID-JAG) is exchanged at /oauth/token, by the jwt-bearer grant';

/** Outcomes of the store that refuse an assertion, and what the log is told of them. */
const REFUSALS: Readonly<Record<Exclude<ExchangeOutcome['kind'], 'granted' | 'reused'>, readonly [ErrorCode, string]>> =
  {
    replayed: ['replayed', '"jti" was exchanged before'],
    unknown: ['user_unknown', '"sub" is not a registered user'],
    unproven: ['merge_unproven', '"identityToMerge" without the bearer of that identity'],
  };

/** Verification, then the claim of the `jti` together with identity and session, in one round trip of the store. */
export function createExchange(deps: ExchangeDeps): Exchange {
  const { verify, sessions, toIdentityClaim, contexts, accessTokens, findSession, onOutcome, bearerKey, formats } =
    deps;

  const plan = (verified: VerifiedAssertion, jkt?: string): { bearer: Bearer; replay: ExchangeAttempt['replay'] } => {
    const { app, claims, signingInput, verifiedAt } = verified;
    if (claims.jti === undefined) return { bearer: createBearer(createTag(), jkt !== undefined), replay: undefined };
    const key = formats.current(app.clientId, claims.jti);
    const formerKeys = formats.former.map((format) => format(app.clientId, claims.jti as string));
    const expiresInMs = toReplayLifeMs(claims.expiresAt, verifiedAt);
    const reuseWindowMs = app.reuseWindowSeconds * 1000;
    const tag = toTag(app.clientId, claims.jti);
    const bearer =
      reuseWindowMs > 0 ? deriveBearer(bearerKey(), tag, key, signingInput, jkt) : createBearer(tag, jkt !== undefined);
    return { bearer, replay: { key, formerKeys, expiresInMs, reuseWindowMs } };
  };

  const toAccessToken = async (app: App, session: Session, bearer: Bearer): Promise<string> =>
    app.accessTokenFormat === 'jwt' ? accessTokens.sign(session, bearer) : bearer.text;

  /** SECURITY: a bearer that is bound to a key proves something only together with that key. */
  const findMergeProof = async (app: App, text: string, jkt?: string): Promise<SessionName | undefined> => {
    const presented = await accessTokens.parse(text);
    if (presented?.isBound !== true) return app.requireDpop ? undefined : presented;
    const bound = jkt === undefined ? undefined : (await findSession(presented))?.session.jkt;
    return bound !== undefined && bound === jkt ? presented : undefined;
  };

  const grant = async (
    verified: VerifiedAssertion,
    unsigned: JsonObject,
    { botId, mergeBearer, keyProof, format, kinds = ['jwt'] }: ExchangeOptions,
  ): Promise<{ outcome: string; grant: Grant }> => {
    const { app, claims } = verified;
    const jkt = keyProof?.jkt;
    if (!kinds.includes(verified.kind)) throw new AppError('assertion_malformed', { values: { detail: NOT_HERE } });
    checkBinding(verified, jkt);
    checkFormat(app, format);
    checkBot(app, botId);
    const { bearer, replay } = plan(verified, jkt);
    const mergeProof = mergeBearer === undefined ? undefined : await findMergeProof(app, mergeBearer, jkt);
    const identity = toIdentityClaim(verified, mergeProof);
    const { privateClaims, secureCustomData } = claims;
    const sealedContext = contexts.seal(toSessionId(bearer), { privateClaims, secureCustomData, customData: unsigned });
    const session = { ...toSession(verified, identity.id, sealedContext), ...(jkt !== undefined && { jkt }) };
    // Signed before anything is used up: whatever fails here has granted nothing.
    const accessToken = await toAccessToken(app, session, bearer);
    await keyProof?.use();
    const outcome = await sessions.exchange({
      tag: bearer.tag,
      app: app.clientId,
      ...(replay && { replay }),
      identity,
      session: {
        key: bearer.key,
        body: toSessionBody(session),
        expiresInMs: app.bearerLifetimeSeconds * 1000,
      },
    });
    if (outcome.kind !== 'granted' && outcome.kind !== 'reused') {
      const [code, why] = REFUSALS[outcome.kind];
      throw new AppError(code, { detail: `${app.clientId}: ${why}` });
    }
    if (outcome.kind === 'granted') return { outcome: outcome.kind, grant: { accessToken, session } };
    const reused = { ...session, ...parseSessionBody(outcome.body) };
    return {
      outcome: outcome.kind,
      grant: { accessToken: await toAccessToken(app, reused, bearer), session: reused },
    };
  };

  return async function exchange(assertion, options = {}) {
    let place: AppPlace | undefined;
    try {
      const unsigned = checkCustomData(options.customData);
      const verified = await verify(assertion);
      if (verified.app.exchangesPerMinute > 0) place = await deps.takePlace(verified.app);
      const { outcome, grant: granted } = await grant(verified, unsigned, options);
      // SECURITY: what was exchanged before takes no place, or one live assertion would use up all of them.
      if (outcome !== 'granted') await place?.giveBack();
      onOutcome(outcome);
      return granted;
    } catch (error) {
      await place?.giveBack();
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

/** @throws AppError `dpop_proof_missing`, `invalid_dpop_proof` */
function checkBinding({ app, claims }: VerifiedAssertion, jkt: string | undefined): void {
  if (jkt === undefined && (app.requireDpop || claims.boundTo !== undefined))
    throw new AppError('dpop_proof_missing', { detail: app.clientId });
  if (claims.boundTo === undefined || claims.boundTo === jkt) return;
  const detail = 'is by another key than the one that the assertion names';
  throw toDpopError('invalid_dpop_proof', { values: { detail } });
}

/** @throws AppError `invalid_request` */
function checkFormat({ accessTokenFormat }: App, format: App['accessTokenFormat'] | undefined): void {
  if (format === undefined || format === accessTokenFormat) return;
  const detail = "'requested_token_type': this client's tokens are opaque";
  throw new AppError('invalid_request', { values: { detail } });
}

function checkBot({ bots, clientId }: App, botId: string | undefined): void {
  if (botId === undefined || bots.length === 0 || bots.includes(botId)) return;
  throw new AppError('bot_refused', { detail: clientId });
}
