import type { LogLevel } from '../logs/levels.ts';

/** The part of a certificate's life that is left when it is renewed. */
export const RENEW_AT_LEFT = 1 / 3;

const DAY_SECONDS = 86_400;

/** So many days before its end a certificate is told of, once each, ever louder. */
export const EXPIRY_WARNINGS: readonly { readonly days: number; readonly level: LogLevel }[] = [
  { days: 1, level: 'critical' },
  { days: 3, level: 'critical' },
  { days: 7, level: 'error' },
  { days: 14, level: 'warn' },
];

export interface Lifetime {
  readonly startsAt: number;
  readonly endsAt: number;
}

/** Whether a certificate is to be renewed. */
export function isDue({ startsAt, endsAt }: Lifetime, nowSeconds: number): boolean {
  return endsAt - nowSeconds <= (endsAt - startsAt) * RENEW_AT_LEFT;
}

/** The step of {@link EXPIRY_WARNINGS} that a certificate has come to. @returns undefined where its end is far */
export function findWarning(endsAt: number, nowSeconds: number): (typeof EXPIRY_WARNINGS)[number] | undefined {
  return EXPIRY_WARNINGS.find(({ days }) => endsAt - nowSeconds <= days * DAY_SECONDS);
}
