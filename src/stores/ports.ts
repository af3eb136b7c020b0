/** One stored document: an app, a platform key. The store does not look into `body`. */
export interface StoredDocument {
  readonly id: string;
  /** Grows by one with every update; what {@link DocumentStore.update} expects back. */
  readonly revision: number;
  readonly body: string;
}

/** How far a process's clock may be off the store's, in milliseconds. Beyond it nothing is exchanged. */
export const MAX_CLOCK_SKEW_MS = 60_000;

/** The kinds of documents, each a name space of its own. */
export type Collection = 'apps' | 'platform-keys';

/** Few, long-lived documents that every instance keeps a copy of. */
export interface DocumentStore {
  list(collection: Collection): Promise<StoredDocument[]>;
  /** @returns undefined where there is none */
  get(collection: Collection, id: string): Promise<StoredDocument | undefined>;
  /** Stores a first revision. @returns false where the id is taken; nothing is changed then */
  insert(collection: Collection, id: string, body: string): Promise<boolean>;
  /** Replaces the body of `expectedRevision`. @returns false where that is not the current one */
  update(collection: Collection, id: string, body: string, expectedRevision: number): Promise<boolean>;
  /** @returns false where there was none */
  remove(collection: Collection, id: string): Promise<boolean>;
  /**
   * Calls `onChange` soon after any process changed the collection; may call it more often than needed.
   * @returns a function that ends it
   */
  watch(collection: Collection, onChange: () => void): () => void;
}

/** What one exchange writes. */
export interface ExchangeAttempt {
  /** Four hexadecimal characters that place both keys on one shard. */
  readonly tag: string;
  /** Absent where the assertion has no `jti`. */
  readonly replay?: ReplayClaim;
  readonly session: {
    /** The hash of the bearer. */
    readonly key: string;
    readonly body: string;
    /** Life from now, in milliseconds. */
    readonly expiresInMs: number;
  };
}

/** The single use of a `jti`. */
export interface ReplayClaim {
  readonly key: string;
  /** The same claim in formats that earlier versions wrote; taken when any of them is there. */
  readonly formerKeys: readonly string[];
  /** Until no clock could accept the assertion any more, from now, in milliseconds. */
  readonly expiresInMs: number;
  /** How long after the first use the same session may be had again, in milliseconds; 0 for never. */
  readonly reuseWindowMs: number;
}

/**
 * `granted`: the `jti` is claimed and the session stored, by this attempt alone. `reused`: the first use was within the
 * window and its session, under the very same key, still lives. `replayed`: nothing was written.
 */
export type ExchangeOutcome =
  | { readonly kind: 'granted' }
  | { readonly kind: 'reused'; readonly body: string }
  | { readonly kind: 'replayed' };

/** Bearer sessions and replay records. */
export interface SessionStore {
  /**
   * Claims the `jti` and stores the session in one atomic step of one round trip.
   * @throws AppError `store_unavailable`: nobody was granted anything, and the same assertion can be presented again
   */
  exchange(attempt: ExchangeAttempt): Promise<ExchangeOutcome>;
  /** The body of a live session. @returns undefined where it ended, was revoked or never was */
  find(tag: string, key: string): Promise<string | undefined>;
  /** Ends a session. @returns false where there was none */
  revoke(tag: string, key: string): Promise<boolean>;
}

/** Whether the store can be relied on; `problem` is one sentence for an operator. */
export type StoreHealth = { readonly isReady: true } | { readonly isReady: false; readonly problem: string };

/** Everything that is kept, on one backend. */
export interface Store {
  readonly documents: DocumentStore;
  readonly sessions: SessionStore;
  /** One line for the banner: which backend, and how durable it is. */
  readonly description: string;
  health(): Promise<StoreHealth>;
  /** Finishes what was begun and lets go of files and sockets. */
  close(): Promise<void>;
}
