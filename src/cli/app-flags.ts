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

/** The options of `apps create` and `apps update`: the member that each sets, and how its text is read. */
export const APP_FLAGS: Readonly<Record<string, { readonly member: string; readonly parse: ParseFlag }>> = {
  name: { member: 'name', parse: text },
  algorithm: { member: 'algorithm', parse: text },
  'public-key': { member: 'publicKey', parse: keyFile },
  'enforce-jti': { member: 'enforceJti', parse: flag },
  'jwe-required': { member: 'jwe.required', parse: flag },
  'jwe-algs': { member: 'jwe.algs', parse: list },
  'jwe-encs': { member: 'jwe.encs', parse: list },
  'allow-anonymous': { member: 'allowAnonymous', parse: flag },
  'auto-register': { member: 'autoRegister', parse: flag },
  audiences: { member: 'audiences', parse: list },
  bots: { member: 'bots', parse: list },
  enabled: { member: 'enabled', parse: flag },
  'max-lifetime-seconds': { member: 'maxLifetimeSeconds', parse: number },
  'bearer-lifetime-seconds': { member: 'bearerLifetimeSeconds', parse: number },
  'clock-tolerance-seconds': { member: 'clockToleranceSeconds', parse: number },
  'reuse-window-seconds': { member: 'reuseWindowSeconds', parse: number },
};

/**
 * The body that the same registration has over HTTP.
 * @throws UsageError
 */
export function toAppBody(values: Readonly<Record<string, string | undefined>>): object {
  const body: Record<string, unknown> = {};
  for (const [name, { member, parse }] of Object.entries(APP_FLAGS)) {
    const value = values[name];
    if (value === undefined) continue;
    const [outer = '', inner] = member.split('.');
    const parsed = parse(value, name);
    body[outer] = inner === undefined ? parsed : { ...(body[outer] as object | undefined), [inner]: parsed };
  }
  return body;
}
