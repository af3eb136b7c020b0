import { ClientError, hasCode, toFetchError } from './client-error.ts';
import type { Platform } from './platform.ts';

/** How long to wait and how often to try. */
export interface Patience {
  /** For one answer, in milliseconds. */
  readonly timeoutMs: number;
  /** Tries of one request, the first included. */
  readonly maxAttempts: number;
  /** The back-off before the second try, at most; it doubles with each further one. In milliseconds. */
  readonly firstDelayMs: number;
  /** What neither the back-off nor a `Retry-After` goes beyond, in milliseconds. */
  readonly maxDelayMs: number;
}

/** The members of an answer's JSON object. */
export type Members = Readonly<Record<string, unknown>>;

/** A failure in either shape: the seeds' and that of RFC 6749 §5.2. Whatever else comes is read as if it said nothing. */
interface Failure {
  readonly errors?: readonly ({ readonly msg?: unknown } | null)[];
  readonly error_description?: unknown;
  readonly error?: unknown;
}

export interface Sender {
  /** Sends once and reads the members of what comes back. @throws ClientError */
  send(url: string | URL, init: RequestInit, signal?: AbortSignal): Promise<Members>;
  /** Does something again while it fails with `unavailable` or `network`, backing off in between. */
  retry<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

export function createSender(settings: Platform & Patience): Sender {
  const { timeoutMs, maxAttempts, firstDelayMs, maxDelayMs, sleep } = settings;
  return {
    async send(url, init, signal) {
      const attempt = new AbortController();
      const answered = async (): Promise<Members> =>
        readAnswer(await settings.fetch(url, { ...init, signal: attempt.signal }), settings.nowMs());
      try {
        signal?.throwIfAborted();
        void sleep(timeoutMs, attempt.signal).then(() => attempt.abort());
        return await abortable(answered(), signal);
      } catch (error) {
        throw toFetchError(error, signal);
      } finally {
        attempt.abort();
      }
    },

    async retry(attempt, signal) {
      for (let delayMs = firstDelayMs, count = 1; ; delayMs *= 2, count += 1) {
        try {
          return await attempt();
        } catch (error) {
          if (!hasCode(error, 'unavailable', 'network') || count >= maxAttempts) throw error;
          // Full jitter; on top of what the server asked for, where it did.
          const askedMs = Math.min(maxDelayMs, error.retryAfterSeconds * 1000);
          await abortable(sleep(askedMs + settings.random() * Math.min(maxDelayMs, delayMs), signal), signal);
        }
      }
    },
  };
}

/** A promise that its waiter may leave. @throws ClientError `aborted` */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(toFetchError(undefined, signal));
    if (signal.aborted) leave();
    signal.addEventListener('abort', leave);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}

/**
 * Reads an answer; what is no JSON object has no members.
 * @throws ClientError `unavailable` for 429 and 5xx, which are worth another try, `refused` for other failures
 */
async function readAnswer(response: Response, nowMs: number): Promise<Members> {
  const { ok, status, headers } = response;
  const members = parseMembers(await response.text());
  if (ok) return members;
  const { errors, error_description: description, error }: Failure = members;
  const message = errors?.[0]?.msg ?? description ?? error;
  // Seconds or a date (RFC 9110 §10.2.3); 0 is read as a date, which is over.
  const retryAfter = headers.get('retry-after') ?? '';
  const seconds = Number(retryAfter) || (Date.parse(retryAfter) - nowMs) / 1000;
  throw new ClientError(
    status === 429 || status >= 500 ? 'unavailable' : 'refused',
    typeof message === 'string' ? message : `status ${status}`,
    { status, retryAfterSeconds: Math.max(0, seconds || 0) },
  );
}

function parseMembers(text: string): Members {
  try {
    return Object(JSON.parse(text)) as Members;
  } catch {
    return {};
  }
}
