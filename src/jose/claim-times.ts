import { toIsoDate } from '../core/clock.ts';
import type { JsonObject } from '../core/json.ts';
import { MILLISECONDS_FROM } from './limits.ts';

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;
const YEAR_SECONDS = 365.25 * DAY_SECONDS;
// How far from a whole half hour a difference may be that looks like a time zone.
const ZONE_SLACK_SECONDS = 90;
const WIDEST_ZONE_SECONDS = 14 * HOUR_SECONDS;
// As seconds, this is the year 2001: whatever is less was meant as a duration.
const DURATION_BELOW = 1e9;
// As milliseconds, this is the year 5138: whatever is more has a finer unit.
const MICROSECONDS_FROM = 1e14;
// The end of ECMAScript's calendar.
const LAST_DATE_SECONDS = 8.64e12;

/** How long that is, for people: `42 s`, `5 min 12 s`, `3 h 1 min`, `4 days`. Rounded up to what is shown. */
export function toDuration(seconds: number): string {
  if (seconds >= 1_000 * YEAR_SECONDS) return 'more than 1000 years';
  if (seconds >= 2 * YEAR_SECONDS) return `${Math.floor(seconds / YEAR_SECONDS)} years`;
  if (seconds >= 2 * DAY_SECONDS) return `${Math.floor(seconds / DAY_SECONDS)} days`;
  if (seconds >= 2 * HOUR_SECONDS) return toParts(Math.floor(seconds / MINUTE_SECONDS), 'h', 'min');
  // A binary fraction may be off by what nobody means.
  const tenths = Math.ceil(seconds * 10 - 1e-3) / 10;
  return tenths >= 2 * MINUTE_SECONDS ? toParts(Math.floor(tenths), 'min', 's') : `${tenths} s`;
}

function toParts(units: number, large: string, small: string): string {
  const rest = units % 60;
  return `${(units - rest) / 60} ${large}${rest === 0 ? '' : ` ${rest} ${small}`}`;
}

/** A time as ISO 8601, whatever number it is. */
export function toShownDate(atSeconds: number): string {
  return atSeconds <= LAST_DATE_SECONDS ? toIsoDate(atSeconds) : 'beyond every calendar';
}

/** Where a time lies, seen from now: `42 s ago`, `5 min ahead`. */
export function toDistance(atSeconds: number, now: number): string {
  if (atSeconds === now) return 'now';
  return atSeconds < now ? `${toDuration(now - atSeconds)} ago` : `${toDuration(atSeconds - now)} ahead`;
}

/**
 * What a wrong time looks like, for whoever made the token.
 * @param value - the claim as it was sent
 * @returns the empty string where it looks like nothing
 */
export function toTimeHint(value: number, atSeconds: number, now: number): string {
  const unit = toUnitHint(value);
  if (unit !== '') return unit;
  const off = Math.abs(atSeconds - now);
  const fromHalfHour = Math.abs(off - Math.round(off / (HOUR_SECONDS / 2)) * (HOUR_SECONDS / 2));
  if (off > HOUR_SECONDS / 4 && off <= WIDEST_ZONE_SECONDS + ZONE_SLACK_SECONDS && fromHalfHour <= ZONE_SLACK_SECONDS)
    return 'is it local time in place of UTC?';
  return atSeconds > now ? `is the issuer's clock ${toDuration(off)} ahead?` : '';
}

/** What a number looks like that is no time of this age. @returns the empty string where it looks like one */
export function toUnitHint(value: number): string {
  if (value < DURATION_BELOW) return 'is it a duration? It must be a time since 1970';
  return value >= MICROSECONDS_FROM ? 'is it in microseconds?' : '';
}

/** A time in seconds, whether it was sent in seconds or in milliseconds. */
export function toUnixSeconds(value: number): number {
  return value >= MILLISECONDS_FROM ? value / 1000 : value;
}

/** A time claim in words: where it lies, and its unit where that is not seconds. */
export function describeTime(claim: string, payload: JsonObject, now: number): string {
  const value = Number(payload[claim]);
  const unit = value >= MILLISECONDS_FROM ? ' (in milliseconds)' : '';
  return `"${claim}" is ${toDistance(toUnixSeconds(value), now)}${unit}`;
}
