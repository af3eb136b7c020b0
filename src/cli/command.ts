/** What a command sees of its process. */
export interface CommandContext {
  readonly args: readonly string[];
  /** Of the program. */
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The operating system's name of whoever runs the program, for the audit trail. */
  readonly user?: string;
  /** Aborted when the process is asked to stop. */
  readonly stop: AbortSignal;
  /** For results: one text, a line feed is added. */
  readonly print: (text: string) => void;
  /** For everything else. */
  readonly printError: (text: string) => void;
}

/** A command of the program. */
export interface Command {
  /** Words behind the name, for the help. */
  readonly usage: string;
  readonly summary: string;
  /** Words that may follow the usage, for the help of this command alone. */
  readonly options?: readonly string[];
  /** @throws UsageError, ConfigError, AppError, or whatever made it fail */
  run(context: CommandContext): Promise<void>;
}

/** Words that a command does not take. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
