import { readFileSync } from 'node:fs';

import { parseJsonObject } from '../core/json.ts';
import { UsageError } from './command.ts';

type ParseFlag = (text: string, flag: string) => unknown;

const text: ParseFlag = (value) => value;
const flag: ParseFlag = (value, name) => {
  if (value !== 'true' && value !== 'false') throw new UsageError(`--${name} takes true or false`);
  return value === 'true';
};
const number: ParseFlag = (value, name) => {
  if (!/^\d{1,12}$/.test(value)) throw new UsageError(`--${name} takes a whole number`);
  return Number(value);
};
const list: ParseFlag = (value) => value.split(',').map((part) => part.trim()).filter((part) => part !== ''); // prettier-ignore
const file: ParseFlag = (path, name) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new UsageError(`--${name}: the file cannot be read`);
  }
};

/** PEM text, or the object of a JWK file. */
const keyFile: ParseFlag = (path, name) => {
  const content = String(file(path, name));
  if (!content.trimStart().startsWith('{')) return content;
  try {
    return parseJsonObject(content);
  } catch {
    throw new UsageError(`--${name}: the file is neither PEM nor a JWK`);
  }
};

/** What an option takes, and how its text is read. */
const KINDS = {
  text: { takes: '<text>', parse: text },
  flag: { takes: 'true|false', parse: flag },
  number: { takes: '<number>', parse: number },
  list: { takes: '<text>,…', parse: list },
  keyFile: { takes: '<file>', parse: keyFile },
} as const satisfies Record<string, { takes: string; parse: ParseFlag }>;

/** Options of a command: the member of a body that each sets, and what it takes. */
export type BodyFlags = Readonly<Record<string, { readonly member: string; readonly kind: keyof typeof KINDS }>>;

/** The options of `apps rotate`. */
export const ROTATE_FLAGS: BodyFlags = {
  'public-key': { member: 'publicKey', kind: 'keyFile' },
  'jwks-url': { member: 'jwksUrl', kind: 'text' },
  'activate-in-seconds': { member: 'activatesInSeconds', kind: 'number' },
  'overlap-seconds': { member: 'overlapSeconds', kind: 'number' },
};

/** The options of `apps create` and `apps update`. */
export const APP_FLAGS: BodyFlags = {
  name: { member: 'name', kind: 'text' },
  algorithm: { member: 'algorithm', kind: 'text' },
  'public-key': { member: 'publicKey', kind: 'keyFile' },
  'jwks-url': { member: 'jwksUrl', kind: 'text' },
  'enforce-jti': { member: 'enforceJti', kind: 'flag' },
  'jwe-required': { member: 'jwe.required', kind: 'flag' },
  'jwe-algs': { member: 'jwe.algs', kind: 'list' },
  'jwe-encs': { member: 'jwe.encs', kind: 'list' },
  'allow-anonymous': { member: 'allowAnonymous', kind: 'flag' },
  'auto-register': { member: 'autoRegister', kind: 'flag' },
  'merge-allow-known': { member: 'merge.allowKnown', kind: 'flag' },
  'merge-require-proof': { member: 'merge.requireProof', kind: 'flag' },
  'require-secure-rtm': { member: 'requireSecureRtm', kind: 'flag' },
  'require-dpop': { member: 'requireDpop', kind: 'flag' },
  'access-token-format': { member: 'accessTokenFormat', kind: 'text' },
  'id-jag-issuer': { member: 'idJag.issuer', kind: 'text' },
  audiences: { member: 'audiences', kind: 'list' },
  bots: { member: 'bots', kind: 'list' },
  enabled: { member: 'enabled', kind: 'flag' },
  'max-lifetime-seconds': { member: 'maxLifetimeSeconds', kind: 'number' },
  'bearer-lifetime-seconds': { member: 'bearerLifetimeSeconds', kind: 'number' },
  'clock-tolerance-seconds': { member: 'clockToleranceSeconds', kind: 'number' },
  'reuse-window-seconds': { member: 'reuseWindowSeconds', kind: 'number' },
  'exchanges-per-minute': { member: 'exchangesPerMinute', kind: 'number' },
};

/** Each option with what it takes, for the help. */
export function listOptions(flags: BodyFlags): string[] {
  return Object.entries(flags).map(([name, { kind }]) => `--${name} ${KINDS[kind].takes}`);
}

/**
 * The body that the same registration has over HTTP.
 * @throws UsageError
 */
export function toBody(flags: BodyFlags, values: Readonly<Record<string, string | undefined>>): object {
  const body: Record<string, unknown> = {};
  for (const [name, { member, kind }] of Object.entries(flags)) {
    const value = values[name];
    if (value === undefined) continue;
    const [outer = '', inner] = member.split('.');
    const parsed = KINDS[kind].parse(value, name);
    body[outer] = inner === undefined ? parsed : { ...(body[outer] as object | undefined), [inner]: parsed };
  }
  return body;
}
