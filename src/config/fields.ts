import { isIP } from 'node:net';

import { z } from 'zod';

import { findMaterialProblem } from '../core/key-material.ts';
import { findPublication } from '../core/published-secrets.ts';
import { Secret } from '../core/secret.ts';

/** A decimal whole number from `min` to `max`. */
export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be from ${min} to ${max}`);

/** A TCP port; 0 is any that is free. */
export const port = () => wholeNumber(0, 65_535);

/** `true` or `false`. */
export const flag = () => z.enum(['true', 'false'], 'must be true or false').transform((text) => text === 'true');

/** Several values, separated by commas. */
export const list = () =>
  z.string().transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  );

/** A value that must never print. */
export const secret = () => z.string().transform((text) => new Secret(text));

/** The shortest token that is taken, in characters, as for client secrets: 256 bits where all of them count. 43 random ones of base64url have as many. */
export const MIN_TOKEN_LENGTH = 32;
/** Characters of a token that differ, at least: fewer are a pattern. */
export const MIN_TOKEN_CHARACTERS = 6;

/** A token that whoever has it may do much with: long enough, and no pattern. Never prints. */
export const token = () =>
  z
    .string()
    .min(MIN_TOKEN_LENGTH, `must have at least ${MIN_TOKEN_LENGTH} characters`)
    .regex(/^[\w\-.~+/]+=*$/, 'must have only letters, digits and - . _ ~ + / =, as a header field carries them')
    .refine((text) => new Set(text).size >= MIN_TOKEN_CHARACTERS, 'must be random; it repeats a few characters')
    .refine((text) => findPublication(text) === undefined, 'must be random; this one is published')
    .transform((text) => new Secret(text));

/** The shortest secret that signs webhooks, in bytes: as long as the hash that it keys. */
export const MIN_WEBHOOK_SECRET_BYTES = 32;

const WEBHOOK_PREFIX = 'whsec_';
const BASE64 = /^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/;

/** A secret that signs webhooks: `whsec_` and base64, or text that is used as it is. Never prints. */
export const webhookSecret = () =>
  z.string().transform((text, context) => {
    const problem = findWebhookSecretProblem(text);
    if (problem === undefined) return new Secret(text);
    context.addIssue({ code: 'custom', message: problem });
    return z.NEVER;
  });

function findWebhookSecretProblem(text: string): string | undefined {
  const coded = text.startsWith(WEBHOOK_PREFIX) ? text.slice(WEBHOOK_PREFIX.length) : undefined;
  if (coded !== undefined && !BASE64.test(coded)) return `must be base64 behind ${WEBHOOK_PREFIX}`;
  const bytes = coded === undefined ? Buffer.from(text) : Buffer.from(coded, 'base64');
  if (bytes.length < MIN_WEBHOOK_SECRET_BYTES) return `must have at least ${MIN_WEBHOOK_SECRET_BYTES} bytes`;
  if (new Set(bytes).size < MIN_TOKEN_CHARACTERS) return 'must be random; it repeats a few characters';
  if (findPublication(coded ?? text) !== undefined) return 'must be random; this one is published';
  return coded === undefined ? findMaterialProblem(text) : undefined;
}

/** A Redis URL, which may hold a password. */
export const redisUrl = () =>
  z
    .string()
    .refine((text) => /^rediss?:\/\//.test(text) && URL.canParse(text), 'must be a redis:// or rediss:// URL')
    .transform((text) => new Secret(text));

/** An absolute http or https URL without credentials or fragment, to the letter: a slash at its end counts. */
export const httpUrl = () =>
  z.string().refine(isHttpUrl, 'must be an http or https URL without credentials or fragment');

/** The same without a slash at its end, for putting paths behind. */
export const baseUrl = () => httpUrl().transform((text) => text.replace(/\/$/, ''));

function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && username === '' && password === '' && !text.includes('#');
}

/** Web origins, separated by commas: scheme, host and port, nothing behind. There is no wildcard. */
export const origins = () =>
  list().refine(
    (parts) => parts.every((part) => URL.canParse(part) && new URL(part).origin === part && !part.includes('*')),
    'must be origins like https://www.example.com, separated by commas',
  );

/** `false`, a number of proxies, or their addresses and subnets, separated by commas. */
export const trustedProxies = () =>
  z.string().transform((text, context): false | number | string[] => {
    if (text === 'false') return false;
    if (/^\d{1,2}$/.test(text)) return Number(text);
    const parts = text.split(',').map((part) => part.trim());
    if (parts.every(isProxyAddress)) return parts;
    context.addIssue({
      code: 'custom',
      message: 'must be false, a number of proxies, or addresses separated by commas',
    });
    return z.NEVER;
  });

/** Names of address ranges that Express knows. */
const RANGES: readonly string[] = ['loopback', 'linklocal', 'uniquelocal'];
/** Bits of an address, by IP version. */
const ADDRESS_BITS: Readonly<Record<number, number>> = { 4: 32, 6: 128 };

function isProxyAddress(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const bits = ADDRESS_BITS[isIP(address)];
  if (bits === undefined) return RANGES.includes(text);
  return rest.length === 0 && (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits));
}
