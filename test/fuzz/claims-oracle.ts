import type { JsonObject } from '../../src/core/json.ts';
import type { ClaimsPolicy } from '../../src/jose/claims.ts';

/** The settings of the fuzzed app. */
export const POLICY: ClaimsPolicy = {
  audiences: ['https://idproxy.kore.com/authorize'],
  enforceJti: false,
  allowAnonymous: true,
  clockToleranceSeconds: 15,
  maxLifetimeSeconds: 3_600,
};

const HOUR_SECONDS = 3_600;
const MAX_NAME = 256;
/** As seconds it would be the year 5138. */
const MILLISECONDS_FROM = 1e11;

const toSeconds = (value: unknown): number => {
  if (typeof value !== 'number') return Number.NaN;
  return Math.abs(value) >= MILLISECONDS_FROM ? value / 1_000 : value;
};
const isName = (value: unknown): boolean => typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME;

/**
 * A second, plain reading of `design/verification.md`: whether claims may be accepted at all. It may be more generous than the
 * product, never stricter.
 */
export function isAcceptable(claims: JsonObject, now: number): boolean {
  const { clockToleranceSeconds: tolerance, audiences, maxLifetimeSeconds } = POLICY;
  const effective = (name: string): unknown => claims[`kore_${name}`] ?? claims[name];
  const expiresAt = toSeconds(claims['exp']);
  const jti = effective('jti');
  const isInTime = (name: string): boolean => {
    const value = claims[name];
    return value === undefined || value === null || toSeconds(value) <= now + tolerance;
  };
  return [
    typeof claims['aud'] === 'string' && audiences.includes(claims['aud']),
    expiresAt > now - tolerance,
    expiresAt <= now + tolerance + (jti === undefined ? maxLifetimeSeconds : HOUR_SECONDS),
    isInTime('nbf'),
    isInTime('iat'),
    isName(effective('sub')),
    jti === undefined || jti === null || isName(jti),
    [undefined, null, true, false, 'true', 'false'].includes(claims['isAnonymous'] as never),
    JSON.stringify(claims).length < 40_000,
  ].every(Boolean);
}
