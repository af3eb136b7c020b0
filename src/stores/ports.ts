import type { AuditStore } from './audit-port.ts';
import type { ClaimStore } from './claim-port.ts';
import type { CounterStore } from './counter-port.ts';
import type { SealedRecords } from './sealed-records.ts';

export type { AuditLine, AuditStore } from './audit-port.ts';
export type { ClaimStore } from './claim-port.ts';
export type { CounterStore } from './counter-port.ts';

/** One stored document: an app, a platform key. The store does not look into `body`. */
export interface StoredDocument {
  readonly id: string;
  /** Grows by one with every update; what {@link DocumentStore.update} expects back. */
  readonly revision: number;
  readonly body: string;
}

/** How far a process's clock may be off the store's, in milliseconds. Beyond it nothing is exchanged. */
export const MAX_CLOCK_SKEW_MS = 60_000;

/** Why a store grants nothing for {@link ExchangeAttempt.app}, for the log. */
export const APP_GONE = 'the store does not hold the app: it was emptied, or the app was deleted this instant';

/** The kinds of documents, each a name space of its own. */
export type Collection = 'apps' | 'platform-keys' | 'connectors' | 'callers' | 'gateway-keys';

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
  /** Four hexadecimal characters that place replay record and session on one shard. */
  readonly tag: string;
  /**
   * The document in `apps` without which nothing is granted, looked up in the same step: a store that was emptied has lost the
   * replay records together with its apps, whatever a process still has in memory.
   */
  readonly app: string | undefined;
  /** Absent where the assertion has no `jti`. */
  readonly replay?: ReplayClaim;
  /** Whose session it is. */
  readonly identity: IdentityClaim;
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

/** A user of one app, as an exchange names it. */
export interface IdentityClaim extends NewIdentity {
  /** Whether one that is not there is created. */
  readonly mayCreate: boolean;
  /** How long the identity, if it is not kept, and its conversation last from now, in milliseconds. */
  readonly activeMs: number;
  readonly merge?: MergeClaim;
}

/** What an identity is made of. */
export interface NewIdentity {
  /** A UUID of 36 characters, always the same for one user of one app. */
  readonly id: string;
  /** The app it belongs to. */
  readonly owner: string;
  /** Kept until it is removed; else it ends with {@link IdentityClaim.activeMs}. */
  readonly isKept: boolean;
  readonly body: string;
  /** Random. Sessions of an identity end with it: a later one of the same id has another incarnation. */
  readonly incarnation: string;
  /** Random: the conversation that begins where none is going on. */
  readonly conversation: string;
}

/** An identity that is to be taken over. */
export interface MergeClaim {
  /** The first of them that exists is taken: removed, its sessions ended, its conversation continued. */
  readonly ids: readonly string[];
  /** Whether `proof` must name a live session of that identity. */
  readonly needsProof: boolean;
  readonly proof?: SessionName;
}

/** Where a session is stored. */
export interface SessionName {
  readonly tag: string;
  readonly key: string;
}

/**
 * `granted`: the `jti` is claimed and the session stored, by this attempt alone. `reused`: the first use was within the
 * window and its session, under the very same key, still lives. Otherwise nothing was written: `replayed`; `unknown`, the
 * identity is not there and may not be created; `unproven`, the identity to merge is there and the proof does not hold.
 */
export type ExchangeOutcome =
  | { readonly kind: 'granted' }
  | { readonly kind: 'reused'; readonly body: string }
  | { readonly kind: 'replayed' | 'unknown' | 'unproven' };

/** A live session, and whose it is, as that is now. */
export interface FoundSession {
  readonly body: string;
  readonly identity: Omit<StoredIdentity, 'activeUntilMs'>;
}

/** Bearer sessions and replay records. */
export interface SessionStore {
  /**
   * Claims the `jti`, creates or merges the identity and stores the session in one atomic step of one round trip.
   * @throws AppError `store_unavailable`: nobody was granted anything, and the same assertion can be presented again; so it is,
   * too, where the store does not hold {@link ExchangeAttempt.app}
   */
  exchange(attempt: ExchangeAttempt): Promise<ExchangeOutcome>;
  /** A live session. @returns undefined where it ended, was revoked or never was, and where its identity is gone */
  find(tag: string, key: string): Promise<FoundSession | undefined>;
  /** Ends a session. @returns false where there was none */
  revoke(tag: string, key: string): Promise<boolean>;
  /**
   * Deletes the records of sessions that ended with their identity, which else stay until their time is over. Looks at every
   * session there is: for when somebody is erased.
   */
  purge(): Promise<void>;
}

/** A stored identity. */
export interface StoredIdentity extends Pick<NewIdentity, 'id' | 'owner' | 'isKept' | 'body' | 'conversation'> {
  /** Until when its conversation is going on, on the store's clock, in milliseconds since the epoch. */
  readonly activeUntilMs: number;
}

/** The users of the apps. */
export interface IdentityStore {
  /** Stores an identity that is to be kept. @returns false where the id is taken; nothing is changed then */
  create(identity: NewIdentity): Promise<boolean>;
  /** @returns undefined where there is none */
  get(id: string): Promise<StoredIdentity | undefined>;
  /** Kept identities of one owner by ascending id, from behind `after`. */
  list(owner: string, after: string, limit: number): Promise<StoredIdentity[]>;
  /** Removes an identity with its conversation, and ends its sessions. @returns false where there was none */
  remove(id: string): Promise<boolean>;
}

/** The messages of conversations that are going on; they go with their conversation. */
export interface ConversationStore {
  /** Adds messages, all but the last `keep` being dropped. Adds nothing where that is not the identity's conversation any more. */
  append(identityId: string, conversation: string, messages: readonly string[], keep: number): Promise<void>;
  /** All its messages, oldest first. */
  read(conversation: string): Promise<string[]>;
}

/** Things that are used once, and soon. */
export interface TicketStore {
  put(key: string, body: string, expiresInMs: number): Promise<void>;
  /** Takes a ticket away; of many that ask at once, one gets it. @returns undefined where it was taken, expired or never was */
  take(key: string): Promise<string | undefined>;
}

/** Something that is over before its time. A session's id is `<tag>.<key>`. */
export interface Ending {
  readonly kind: 'session' | 'identity' | 'conversation';
  readonly id: string;
}

export interface EndingWatcher {
  onEnding(ending: Ending): void;
  /** Endings may have been missed: look at everything again. */
  onGap(): void;
}

/** What ends, in whichever process. */
export interface EndingFeed {
  /** Tells `watcher` of every ending soon after it happened, maybe twice. @returns a function that ends it */
  watch(watcher: EndingWatcher): () => void;
}

/** Something that is there as long as somebody says so. */
export interface Presence {
  readonly owner: string;
  readonly body: string;
}

/** What processes tell each other of themselves. */
export interface PresenceStore {
  /** Replaces what `owner` says; it is gone after `expiresInMs` unless it is said again. */
  announce(owner: string, body: string, expiresInMs: number): Promise<void>;
  withdraw(owner: string): Promise<void>;
  /** All that is there, of owners that begin with `prefix`, by ascending owner. */
  list(prefix: string): Promise<Presence[]>;
  /** Calls `onChange` soon after any process announced another body or withdrew one. @returns a function that ends it */
  watch(onChange: () => void): () => void;
}

/** Whether the store can be relied on; `problem` is one sentence for an operator. */
export type StoreHealth = { readonly isReady: true } | { readonly isReady: false; readonly problem: string };

/** Everything that is kept, on one backend. */
export interface Store {
  readonly documents: DocumentStore;
  readonly sessions: SessionStore;
  readonly identities: IdentityStore;
  readonly conversations: ConversationStore;
  readonly tickets: TicketStore;
  readonly endings: EndingFeed;
  readonly presence: PresenceStore;
  readonly claims: ClaimStore;
  readonly audit: AuditStore;
  /** Absent where one machine alone has the store. */
  readonly counters?: CounterStore;
  readonly sealed: SealedRecords;
  /** One line for the banner: which backend, and how durable it is. */
  readonly description: string;
  health(): Promise<StoreHealth>;
  /** Finishes what was begun and lets go of files and sockets. */
  close(): Promise<void>;
}
