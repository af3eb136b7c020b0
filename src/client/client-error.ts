/**
 * Why a call failed: `refused` for good, so that trying again is no use; `unavailable`, the server said "not now"
 * (429, 5xx) as often as it was asked; `network`, no answer came; `aborted` by a signal or by signing out;
 * `malformed`, an answer that is not what it should be.
 */
export type ClientErrorCode = 'refused' | 'unavailable' | 'network' | 'aborted' | 'malformed';

export interface ClientErrorOptions {
  /** Of the answer, where one came. */
  readonly status?: number;
  /** How long the server asked to be left alone, in seconds; 0 where it did not. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** The one class of failure of this client. `message` is the server's own sentence where it gave one. */
export class ClientError extends Error {
  declare readonly code: ClientErrorCode;
  declare readonly status: number | undefined;
  declare readonly retryAfterSeconds: number;

  constructor(code: ClientErrorCode, message: string, options: ClientErrorOptions = {}) {
    super(message, options);
    const { status, retryAfterSeconds = 0 } = options;
    Object.assign(this, { name: 'ClientError', code, status, retryAfterSeconds });
  }
}

/** Whether something failed for one of these reasons. */
export function hasCode(error: unknown, ...codes: readonly ClientErrorCode[]): error is ClientError {
  return error instanceof ClientError && codes.includes(error.code);
}

/** What became of a `fetch` that threw `cause`. */
export function toFetchError(cause: unknown, signal?: AbortSignal | null): ClientError {
  if (signal?.aborted) return new ClientError('aborted', 'aborted', { cause: signal.reason });
  return cause instanceof ClientError ? cause : new ClientError('network', 'no answer', { cause });
}
