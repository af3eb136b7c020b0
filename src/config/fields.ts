import { z } from 'zod';

import { Secret } from '../core/secret.ts';

/** A decimal whole number from `min` to `max`. */
export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be from ${min} to ${max}`);

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
export const secret = (minLength = 1) =>
  z
    .string()
    .min(minLength, `must have at least ${minLength} characters`)
    .transform((text) => new Secret(text));

/** An absolute http or https URL without credentials, fragment or a slash at its end. */
export const httpUrl = () =>
  z.string().transform((text, context) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && url.hash === '') {
      return text.replace(/\/$/, '');
    }
    context.addIssue({ code: 'custom', message: 'must be an http or https URL without credentials or fragment' });
    return z.NEVER;
  });

/** Web origins, separated by commas: scheme, host and port, nothing behind. There is no wildcard. */
export const origins = () =>
  list().refine(
    (parts) => parts.every((part) => URL.canParse(part) && new URL(part).origin === part),
    'must be origins like https://www.example.com, separated by commas',
  );

/** `false`, a number of proxies, or their addresses and subnets, separated by commas. */
export const trustedProxies = () =>
  z.string().transform((text, context): false | number | string[] => {
    if (text === 'false') return false;
    if (/^\d{1,2}$/.test(text)) return Number(text);
    const parts = text.split(',').map((part) => part.trim());
    if (parts.every((part) => /^(loopback|linklocal|uniquelocal|[\da-fA-F.:]+(\/\d{1,3})?)$/.test(part))) return parts;
    context.addIssue({ code: 'custom', message: 'must be false, a number of proxies, or addresses separated by commas' });
    return z.NEVER;
  });
