import { abortable } from './sender.ts';

/** One run at a time, shared by all who ask for it meanwhile. */
export interface Joined<T> {
  /** Starts a run, or joins the one that goes on. Whoever aborts leaves; the run goes on, for its outcome is of use. */
  join(signal?: AbortSignal | null): Promise<T>;
  /** Ends the run that goes on; all who wait get `aborted`. */
  cancel(): void;
}

export function createJoined<T>(run: (signal: AbortSignal) => Promise<T>): Joined<T> {
  let current: Promise<T> | undefined;
  let controller = new AbortController();

  function start(): Promise<T> {
    const { signal } = (controller = new AbortController());
    const started = abortable(run(signal), signal).finally(() => {
      if (current === started) current = undefined;
    });
    return started;
  }

  return {
    join: (signal) => abortable((current ??= start()), signal),
    cancel() {
      controller.abort();
      current = undefined;
    },
  };
}
