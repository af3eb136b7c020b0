/** One line of the audit trail. The store does not look into `body`. */
export interface AuditLine {
  /** Ascends with time; what {@link AuditStore.list} goes on from. */
  readonly id: string;
  readonly body: string;
}

/** What administrators did, in the order in which it was written. Nothing of it can be changed. */
export interface AuditStore {
  /** Keeps a line; it is on disk, or as safe as the store makes anything, when this resolves. @returns its id */
  append(body: string): Promise<string>;
  /** Lines by ascending id, from behind `after` ('' for the first), or the last ones by descending id. */
  list(options: {
    readonly after?: string;
    readonly limit: number;
    readonly isNewestFirst?: boolean;
  }): Promise<AuditLine[]>;
  /** Drops lines that were written before `beforeMs`, in milliseconds since the epoch, and nothing else. @returns how many */
  expire(beforeMs: number): Promise<number>;
}
