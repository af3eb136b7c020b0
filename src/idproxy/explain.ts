import type { Clock } from '../core/clock.ts';
import { AppError, ERRORS, toPublicMessage } from '../core/errors.ts';
import { toShownDate } from '../jose/claim-times.ts';
import type { AuthenticateToken } from './authenticate-token.ts';
import { explainClaims, listOtherMembers, toRefusal } from './explain-claims.ts';
import { type ExplainedCheck, type Explanation, toSettings } from './explain-schemas.ts';
import { type Step, type StepDeps, STEPS, type Trace } from './explain-steps.ts';

export interface ExplainOptions {
  /** The client id of the app that the token is meant for. */
  readonly app?: string | undefined;
  /** As if it were that time, in seconds since the epoch. */
  readonly at?: number | undefined;
}

/** Says what would become of a token, check by check, without using it up. @throws AppError where the store is away */
export type Explain = (token: string, options?: ExplainOptions) => Promise<Explanation>;

export interface ExplainDeps extends StepDeps {
  /** What decides; the steps here only tell why. */
  readonly authenticateToken: AuthenticateToken;
  /** Our own issuer identifier. */
  readonly issuer: () => string;
  readonly clock: Clock;
}

export function createExplain(deps: ExplainDeps): Explain {
  return async function explain(token, { app: wanted, at } = {}) {
    const now = at ?? deps.clock.nowSeconds();
    const trace: Trace = { token, wanted };
    const checks: ExplainedCheck[] = [];
    for (const step of STEPS) {
      const row = await takeStep(step, trace, deps);
      if (row !== undefined) checks.push(row);
    }
    const { jws, profile, registered } = trace;
    if (jws !== undefined && registered !== undefined && profile?.isAllowed(registered.app) === true)
      checks.push(...explainClaims(profile, jws.payload, registered.app, now, deps.issuer()), ...toUnasked(trace));
    const error = await findFailure(token, deps, now);
    const isNamed = checks.some(({ verdict }) => verdict === 'refused');
    if (error !== undefined && !isNamed) checks.push(toRefusal('verification', error));
    return {
      // SECURITY: accepted is what the verification itself says, and no step contradicts.
      isAccepted: error === undefined && !isNamed,
      at: toShownDate(now),
      ...(error && { answer: toAnswer(error) }),
      checks,
      otherMembers: listOtherMembers(jws?.payload ?? {}, checks, profile),
      ...(registered && { clientId: registered.app.clientId, settings: toSettings(registered.app) }),
    };
  };
}

/** Of a check that rests on one before it. */
export const RESTS = 'rests on what could not be read';

async function takeStep(step: Step, trace: Trace, deps: ExplainDeps): Promise<ExplainedCheck | undefined> {
  const { check, needs } = step;
  if (needs.some((name) => trace[name] === undefined)) {
    return { check, verdict: 'not asked', says: RESTS };
  }
  const finding = await step.run(trace, deps);
  if (finding === undefined) return undefined;
  return typeof finding === 'string'
    ? { check, verdict: 'ok', says: finding }
    : { check, verdict: 'refused', says: finding.says, failure: finding.failure };
}

/** Why the verification refuses the token. @returns undefined where it does not */
async function findFailure(token: string, deps: ExplainDeps, now: number): Promise<AppError | undefined> {
  try {
    const { app, profile, payload } = await deps.authenticateToken(token);
    profile.checkClaims(payload, app, now, deps.issuer());
    return undefined;
  } catch (error) {
    if (error instanceof AppError && ERRORS[error.code].status < 500) return error;
    throw error;
  }
}

function toAnswer(error: AppError): NonNullable<Explanation['answer']> {
  const detail = error.detail ?? error.values.detail;
  const { code } = error;
  return {
    status: ERRORS[code].status,
    msg: toPublicMessage(error),
    failure: code,
    ...(detail !== undefined && { detail }),
  };
}

/** What only an exchange finds out. */
function toUnasked({ jws, registered, profile }: Trace): ExplainedCheck[] {
  if (jws === undefined || registered === undefined) return [];
  const rows: ExplainedCheck[] = [];
  const note = (check: string, says: string) => rows.push({ check, verdict: 'not asked', says });
  if (!registered.app.autoRegister) note('user', 'whether it is registered, which this app asks for');
  if (registered.app.requireDpop) note('proof', 'whether a DPoP proof comes with it, which this app asks for');
  else if (profile?.kind === 'id-jag' && (jws.payload['cnf'] ?? undefined) !== undefined)
    note('proof', 'whether a DPoP proof by the key that it names ("cnf") comes with it');
  const isMerging = profile?.kind === 'jwt' && (jws.payload['identityToMerge'] ?? undefined) !== undefined;
  if (isMerging && registered.app.merge.requireProof)
    note('merge', 'whether the bearer of "identityToMerge" comes with it, which this app asks for');
  const hasJti = (jws.payload['kore_jti'] ?? jws.payload['jti'] ?? undefined) !== undefined;
  if (hasJti) note('replay', 'whether it was exchanged before: asking the store would use it up');
  return rows;
}
