import type { ErrorCode } from '../core/errors.ts';
import type { ResetCode } from '../tunnel/codes.ts';

/** What became of a request. */
export const VERDICTS = [
  'allowed',
  'forbidden',
  'malformed',
  'unreachable',
  'failed',
  'timed_out',
  'cancelled',
] as const;
export type Verdict = (typeof VERDICTS)[number];

/** How a request went. */
export interface Outcome {
  readonly verdict: Verdict;
  /** What the caller was answered; 0 where nothing was. */
  readonly status: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Why it failed, for the log. */
  readonly detail?: string;
}

/** Told once how a request went. */
export type OnOver = (outcome: Outcome) => void;

/** One request as the audit log is told of it, when it is over. */
export interface RequestRecord extends Outcome {
  readonly requestId: string | undefined;
  /** The gateway node that sent it. */
  readonly node: string | undefined;
  readonly method: string;
  /** As the caller named the application. */
  readonly host: string;
  readonly port: number;
  /** Path and query as they came: the query may hold secrets. */
  readonly target: string;
  /** The mapping's name, where one was found. */
  readonly mapping: string | undefined;
  readonly durationMs: number;
}

const VERDICT_OF: Partial<Record<ErrorCode, Verdict>> = {
  application_unknown: 'forbidden',
  path_forbidden: 'forbidden',
  invalid_request: 'malformed',
  application_unreachable: 'unreachable',
  application_failed: 'failed',
  application_timeout: 'timed_out',
};

/** How the audit log calls a failure. */
export const toVerdict = (code: ErrorCode): Verdict => VERDICT_OF[code] ?? 'failed';

const RESET_OF: Partial<Record<ErrorCode, ResetCode>> = {
  application_timeout: 'timed_out',
  invalid_request: 'protocol',
};

/** How the tunnel is told of a failure when the answer has begun. */
export const toResetCode = (code: ErrorCode): ResetCode => RESET_OF[code] ?? 'backend_failed';

/** Why a stream is cut that nobody here is to blame for. */
const CALLER_LEFT: ReadonlySet<ResetCode> = new Set(['cancelled', 'lost', 'refused']);

/** How the audit log calls a stream that was cut by the gateway. */
export const toResetVerdict = (code: ResetCode): Verdict => (CALLER_LEFT.has(code) ? 'cancelled' : 'failed');
