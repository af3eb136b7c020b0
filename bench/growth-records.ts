/** What an exchange leaves behind: that its `jti` was used, and the session of the bearer. */
export const RECORD_KINDS = { jti: '`jti` record', session: 'session' } as const;

export type RecordKind = keyof typeof RECORD_KINDS;

/** How long records live that were not exchanged but copied, in milliseconds: longer than they are measured. */
export const COPY_LIFE_MS = 3_600_000;
/** Exchanges that are copied, in turn, at most. */
export const SAMPLE_COUNT = 200;
/** How far the number of live exchanges may be off before a round. */
export const SLACK = 1.1;

/**
 * The records of one idproxy. Exchanges are added as copies of real ones: each has the value and the form of the name of a record that
 * the idproxy wrote, under a random name of its own, and lives for {@link COPY_LIFE_MS}. An exchange is a `jti` record and a session.
 */
export interface LiveRecords {
  /** Whether adding needs the idproxy to be stopped. */
  readonly isFilledAlone: boolean;
  /** Adds exchanges until there are so many. */
  fill(exchangeCount: number): Promise<void>;
  /** Takes exchanges away where there are noticeably more, and has what is left to do in the background done. */
  settle(exchangeCount: number): Promise<void>;
  /** Adds so many copies of one kind in no order. @returns how much each took, in bytes */
  measureBytes(kind: RecordKind, recordCount: number): Promise<number>;
}
