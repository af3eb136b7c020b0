import { AppError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { isUnfitForName } from '../core/name.ts';
import { quote } from '../core/quote.ts';
import { toUnixSeconds } from './claim-times.ts';

/** Claims that are also read under `kore_<name>`. */
const OVERRIDABLE: ReadonlySet<string> = new Set(['iss', 'sub', 'jti']);

/** The claim that counts of a pair, and its name: `kore_<name>` where it is there, else `name`. */
export function pickClaim(payload: JsonObject, name: string): { claim: string; value: unknown } {
  const override = OVERRIDABLE.has(name) ? payload[`kore_${name}`] : undefined;
  return override === undefined || override === null
    ? { claim: name, value: payload[name] ?? undefined }
    : { claim: `kore_${name}`, value: override };
}

/** @throws AppError `claim_missing`, `claim_invalid` */
export function checkName(claim: string, value: unknown, maxLength: number): string {
  if (value === undefined || value === null) throw missingClaim(claim);
  if (typeof value !== 'string' || value === '') throw invalidClaim(claim, 'must be a non-empty string', value);
  if (value.length > maxLength) throw invalidClaim(claim, `must have at most ${maxLength} characters`, value);
  if (isUnfitForName(value)) throw invalidClaim(claim, 'has characters that no name may have');
  return value;
}

/**
 * A boolean, or its string: stock clients post forms, and sample servers sign what they post.
 * @throws AppError `claim_invalid`
 */
export function checkFlag(claim: string, value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 'false') return false;
  if (value === true || value === 'true') return true;
  throw invalidClaim(claim, 'must be true or false', value);
}

/**
 * A NumericDate in seconds; each claim on its own, since producers mix seconds and milliseconds in one token.
 * @throws AppError `claim_invalid`
 */
export function checkTime(claim: string, value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw invalidClaim(claim, 'must be a time as a number', value);
  return toUnixSeconds(value);
}

export function missingClaim(claim: string): AppError {
  return new AppError('claim_missing', { values: { claim }, detail: `"${claim}" is missing` });
}

/** @param value - what is there; the log is told of what kind it is, never what it says */
export function invalidClaim(claim: string, detail: string, value?: unknown): AppError {
  const counts = claim.startsWith('kore_') ? `; "${claim}" counts before "${claim.slice(5)}"` : '';
  const kind = value === undefined ? '' : `; it is ${toKind(value)}`;
  return new AppError('claim_invalid', {
    values: { claim, detail },
    detail: `"${claim}" ${detail}${kind}${counts}`,
  });
}

function toKind(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'empty' : `a string of ${value.length} characters`;
  if (typeof value === 'number') return value < 0 ? 'a negative number' : 'a number';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === 'object' ? 'an object' : quote(value);
}
