/** Why a gateway was not reached. */
export type DialFault = 'unreachable' | 'timed_out' | 'proxy' | 'untrusted' | 'refused' | 'stopped';

/** A dial that failed. The message is a sentence for the log, and says what to do where that is known. */
export class DialError extends Error {
  override readonly name = 'DialError';
  readonly fault: DialFault;

  constructor(fault: DialFault, message: string, cause?: unknown) {
    super(message, { cause });
    this.fault = fault;
  }
}
