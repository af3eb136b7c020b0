import type { Retention } from './log-folder.ts';

/** Permissions of the files of the application log. */
export const APP_LOG_MODE = 0o640;
/** Permissions of the files of the audit log: whom a request was about is for the operator alone. */
export const AUDIT_LOG_MODE = 0o600;

/** One file of the application log, in bytes, unless it is configured. */
export const APP_LOG_FILE_BYTES = 67_108_864;
/** All files of the application log, in bytes, unless it is configured. Both logs together stay below 5 GB. */
export const APP_LOG_TOTAL_BYTES = 1_073_741_824;
/** How long the application log is kept, in days, unless it is configured. */
export const APP_LOG_AGE_DAYS = 90;
/** One file of the audit log, in bytes, unless it is configured. */
export const AUDIT_LOG_FILE_BYTES = 268_435_456;
/** All files of the audit log, in bytes, unless it is configured. */
export const AUDIT_LOG_TOTAL_BYTES = 3_221_225_472;
/** How long the audit log is kept, in days, unless it is configured. */
export const AUDIT_LOG_AGE_DAYS = 365;

const DEFAULTS: Readonly<Record<'app' | 'audit', Retention>> = {
  app: { maxFileBytes: APP_LOG_FILE_BYTES, maxTotalBytes: APP_LOG_TOTAL_BYTES, maxAgeDays: APP_LOG_AGE_DAYS },
  audit: { maxFileBytes: AUDIT_LOG_FILE_BYTES, maxTotalBytes: AUDIT_LOG_TOTAL_BYTES, maxAgeDays: AUDIT_LOG_AGE_DAYS },
};

/** What a log may come to: as configured, else the defaults. One file is at most a quarter of all. */
export function toRetention(kind: 'app' | 'audit', given: Partial<Retention>): Retention {
  const { maxFileBytes, maxTotalBytes, maxAgeDays } = DEFAULTS[kind];
  const total = given.maxTotalBytes ?? Math.max(maxTotalBytes, 4 * (given.maxFileBytes ?? 0));
  return {
    maxTotalBytes: total,
    maxFileBytes: Math.min(given.maxFileBytes ?? maxFileBytes, Math.ceil(total / 4)),
    maxAgeDays: given.maxAgeDays ?? maxAgeDays,
  };
}
