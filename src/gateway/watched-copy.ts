import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Collection, DocumentStore, StoredDocument } from '../stores/ports.ts';

/** How often a copy is loaded although nobody told of a change, in milliseconds: it proves that the copy is current. */
export const REFRESH_EVERY_MS = 10_000;
/** How soon after a load that failed the next one is tried, in milliseconds. */
export const RETRY_AFTER_MS = 1_000;
/** How often a copy is loaded because something was not found in it, at most, in milliseconds. */
export const REFRESH_ON_MISS_EVERY_MS = 1_000;
/**
 * How long a copy serves while the store is away, in seconds. Meanwhile what is connected goes on; after it nothing is
 * let through, since what was disabled or revoked elsewhere is not known here.
 */
export const MAX_STALE_SECONDS = 900;

/** What a process keeps of one collection. */
export interface WatchedCopy<T> {
  /** @throws AppError `store_unavailable` where nothing was ever loaded, or not for {@link MAX_STALE_SECONDS} */
  current(): T;
  /** A copy that was read after this call; calls that come together share one. @throws AppError `store_unavailable` */
  refresh(): Promise<T>;
  /**
   * For when something is not in the copy, and may have come a moment ago. Loads at most once in
   * {@link REFRESH_ON_MISS_EVERY_MS}, else it resolves at once. Never throws.
   */
  refreshOnMiss(): Promise<void>;
  /** Calls `listener` after each load that brought something new. @returns a function that ends it */
  onChange(listener: () => void): () => void;
  close(): void;
}

export interface WatchedCopyDeps<T> {
  readonly documents: DocumentStore;
  readonly collection: Collection;
  readonly toCopy: (documents: readonly StoredDocument[]) => T;
  readonly clock: Clock;
  /** One sentence for the log, once an outage. */
  readonly onProblem: (detail: string) => void;
}

/** Begins with a load of its own; {@link WatchedCopy.refresh} tells when there is something. */
export function createWatchedCopy<T>(deps: WatchedCopyDeps<T>): WatchedCopy<T> {
  const { documents, collection, toCopy, clock, onProblem } = deps;
  const listeners = new Set<() => void>();
  let known: { readonly copy: T; readonly signature: string; readonly readAt: number } | undefined;
  let running: Promise<T> | undefined;
  let next: Promise<T> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isFailing = false;
  let isClosed = false;

  const load = async (): Promise<T> => {
    const readAt = clock.elapsedSeconds();
    const found = await documents.list(collection);
    const signature = found.map(({ id, revision }) => `${id} ${revision}`).sort().join('\n'); // prettier-ignore
    const isSame = known?.signature === signature;
    const copy = isSame && known ? known.copy : toCopy(found);
    known = { copy, signature, readAt };
    isFailing = false;
    if (!isSame) listeners.forEach((listener) => listener());
    return copy;
  };
  const start = (): Promise<T> => {
    clearTimeout(timer);
    const loading = load().finally(() => {
      running = undefined;
      if (!isClosed) timer = setTimeout(refreshQuietly, isFailing ? RETRY_AFTER_MS : REFRESH_EVERY_MS).unref();
    });
    running = loading;
    return loading;
  };
  const refresh = async (): Promise<T> => {
    try {
      if (running === undefined) return await start();
      // What is being read may be older than this call: one more read, shared by all who wait for it.
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined;
          return start();
        });
      return await next;
    } catch (error) {
      if (!isFailing)
        onProblem(`${collection} could not be loaded: ${error instanceof Error ? error.message : 'unknown'}`);
      isFailing = true;
      throw error;
    }
  };
  const refreshQuietly = (): void => void refresh().catch(() => undefined);
  let missed: Promise<void> = Promise.resolve();
  let missedAtMs = -Infinity;
  const refreshOnMiss = (): Promise<void> => {
    if (performance.now() - missedAtMs < REFRESH_ON_MISS_EVERY_MS) return missed;
    missedAtMs = performance.now();
    missed = refresh().then(
      () => undefined,
      () => undefined,
    );
    return missed;
  };

  const stopWatching = documents.watch(collection, refreshQuietly);
  refreshQuietly();

  return {
    current: () => {
      // SECURITY: fails closed: an old copy does not know what was revoked since. Nor does a clock that is set make it young.
      if (known === undefined || clock.elapsedSeconds() - known.readAt > MAX_STALE_SECONDS) {
        throw new AppError('store_unavailable', { detail: `the copy of ${collection} is too old, or there is none` });
      }
      return known.copy;
    },
    refresh,
    refreshOnMiss,
    onChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close: () => {
      isClosed = true;
      clearTimeout(timer);
      stopWatching();
      listeners.clear();
    },
  };
}
