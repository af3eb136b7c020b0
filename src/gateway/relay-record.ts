import type { AppError } from '../core/errors.ts';
import type { Call } from './find-ways.ts';

/** What became of a relayed request, for its line in the log. */
export interface RelayRecord {
  /** What was asked for, and by whom, where that could be read. */
  readonly call: Call | undefined;
  readonly connectorId: string | undefined;
  readonly way: string | undefined;
  readonly status: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly durationMs: number;
  readonly isAborted: boolean;
  readonly failure: AppError | undefined;
}
