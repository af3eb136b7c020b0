import type { App } from '../apps/schemas.ts';
import type { AppError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { quote } from '../core/quote.ts';
import { describeTime, toShownDate, toUnixSeconds } from '../jose/claim-times.ts';
import { pickClaim } from '../jose/claim-values.ts';
import { USER_DATA_SPELLINGS } from '../jose/claims.ts';
import type { ClaimVerdict } from '../jose/claims-check.ts';
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
  presence: (name, payload) => ((payload[name] ?? undefined) === undefined ? 'absent' : 'there, and not shown'),
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
  const own = profile.toOwnClaims(payload);
  return profile.judgeClaims(payload, app, now, issuer).map(({ check: { name, shows, after }, verdict, error }) => {
    if (error !== undefined) return toRefusal(name, error);
    const says = verdict === 'ok' ? DESCRIBE[shows](name, own, now) : `rests on ${after?.join(', ') ?? ''}`;
    return { check: name, verdict, says };
  });
}

/** A refusal as a row. */
export function toRefusal(check: string, { code, detail, values }: AppError): ExplainedCheck {
  return { check, verdict: 'refused', says: detail ?? values.detail ?? code, failure: code };
}

/** Members of an assertion of the seeds that others than its rules look at. */
const LOOKED_AT = [...Object.values(USER_DATA_SPELLINGS).flat(), 'iss', 'kore_iss', 'kore_sub', 'kore_jti'];

/** Names of members that no rule looks at. */
export function listOtherMembers(
  payload: JsonObject,
  checks: readonly ExplainedCheck[],
  profile: AssertionProfile | undefined,
): string[] {
  const looked: ReadonlySet<string> = new Set([
    ...checks.map(({ check }) => check),
    ...(profile?.kind === 'id-jag' ? [] : LOOKED_AT),
  ]);
  const others = Object.keys(payload).filter((name) => !looked.has(name));
  return others.slice(0, MAX_OTHER_MEMBERS).map((name) => quote(name).slice(1, -1));
}
