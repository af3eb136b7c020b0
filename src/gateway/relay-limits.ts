/**
 * How long neither side of a relayed request may be silent, in milliseconds; up to a {@link READ_IDLE_TIMEOUT_MS} more. An agent
 * waits an hour at most for its application.
 */
export const RELAY_IDLE_TIMEOUT_MS = 3_660_000;
/** How long a caller may take nothing of an answer that is there, in milliseconds. */
export const READ_IDLE_TIMEOUT_MS = 600_000;

/** How long a caller may be silent in the middle of a body that is waited for, in milliseconds. */
export const UPLOAD_IDLE_TIMEOUT_MS = 60_000;

/** How long a relay waits, in milliseconds. */
export interface RelayLimits {
  readonly idleMs: number;
  readonly uploadIdleMs: number;
  readonly readIdleMs: number;
}

export const RELAY_LIMITS: RelayLimits = {
  idleMs: RELAY_IDLE_TIMEOUT_MS,
  uploadIdleMs: UPLOAD_IDLE_TIMEOUT_MS,
  readIdleMs: READ_IDLE_TIMEOUT_MS,
};
