import type { App } from '../apps/schemas.ts';
import { AppError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { quote } from '../core/quote.ts';
import { describeTime, toShownDate, toUnixSeconds } from '../jose/claim-times.ts';
import { pickClaim } from '../jose/claim-values.ts';
import { type ClaimVerdict, USER_DATA_SPELLINGS } from '../jose/claims.ts';
import type { ExplainedCheck } from './explain-schemas.ts';
import type { AssertionProfile } from './profiles.ts';

/** Names of other members, at most. */
const MAX_OTHER_MEMBERS = 20;

/** What a check that holds says of its claim. */
const DESCRIBE: Readonly<
  Record<ClaimVerdict['check']['shows'], (name: string, payload: JsonObject, now: number) => string>
> = {
  text: (name, payload) => {
    const { claim, value } = pickClaim(payload, name);
    return claim === name ? quote(value) : `${quote(value)}; "${claim}" counts before "${name}"`;
  },
  time: (name, payload, now) => {
    const value = payload[name];
    if (typeof value !== 'number') return 'absent';
    return `${toShownDate(toUnixSeconds(value))}: ${describeTime(name, payload, now)}`;
  },
  // SECURITY: what the issuer told the platform in confidence is counted, never shown.
  size: (_name, payload) => {
    const present = Object.values(USER_DATA_SPELLINGS)
      .flat()
      .filter((name) => payload[name] !== undefined && payload[name] !== null);
    const toSize = (name: string) => `"${name}" has ${Buffer.byteLength(JSON.stringify(payload[name]))} bytes`;
    return present.length === 0 ? 'absent' : `${present.map(toSize).join(', ')}, which are not shown`;
  },
  rule: () => 'holds',
};

/** Every rule of the profile on the claims, each asked. */
export function explainClaims(
  profile: AssertionProfile,
  payload: JsonObject,
  app: App,
  now: number,
  issuer: string,
): readonly ExplainedCheck[] {
  const verdicts = profile.judgeClaims?.(payload, app, now);
  if (verdicts === undefined) return [explainAtOnce(() => profile.checkClaims(payload, app, now, issuer))];
  return verdicts.map(({ check: { name, shows, after }, verdict, error }) => {
    if (error !== undefined) return toRefusal(name, error);
    const says = verdict === 'ok' ? DESCRIBE[shows](name, payload, now) : `rests on ${after?.join(', ') ?? ''}`;
    return { check: name, verdict, says };
  });
}

/** A profile that has no table of rules stops at the first that is broken. */
function explainAtOnce(check: () => unknown): ExplainedCheck {
  try {
    check();
    return { check: 'claims', verdict: 'ok', says: 'hold' };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return toRefusal('claims', error);
  }
}

/** A refusal as a row. */
export function toRefusal(check: string, { code, detail, values }: AppError): ExplainedCheck {
  return { check, verdict: 'refused', says: detail ?? values.detail ?? code, failure: code };
}

/** Names of members that no rule looks at. */
export function listOtherMembers(payload: JsonObject, checks: readonly ExplainedCheck[]): string[] {
  const looked: ReadonlySet<string> = new Set([
    ...checks.flatMap(({ check }) => [check, `kore_${check}`]),
    ...Object.values(USER_DATA_SPELLINGS).flat(),
    'iss',
    'kore_iss',
  ]);
  const others = Object.keys(payload).filter((name) => !looked.has(name));
  return others.slice(0, MAX_OTHER_MEMBERS).map((name) => quote(name).slice(1, -1));
}
