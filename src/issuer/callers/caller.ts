import type { IncomingMessage } from 'node:http';

/** Who asks, as far as the mode can tell. */
export type Caller =
  /** May have tokens signed for any identity. The label of its key, for the log. */
  | { readonly kind: 'any'; readonly label?: string }
  /** A user who signed in: for this identity and no other. */
  | { readonly kind: 'user'; readonly identity: string }
  /** Nobody who signed in: for anonymous users at most. `reason` is what a request for a known user fails with. */
  | { readonly kind: 'nobody'; readonly reason: 'credential_missing' | 'credential_invalid' };

/**
 * Tells who asks, by the header fields of a request.
 * @throws AppError `credential_invalid`, `upstream_unavailable`
 */
export type CallerCheck = (req: IncomingMessage) => Promise<Caller>;
