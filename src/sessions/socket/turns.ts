/** Things that are done one after the other. */
export interface Turns {
  /** Adds one to the end. It must not throw. */
  add(turn: () => Promise<void>): void;
  /** How many are not done yet, the one that is being done included. */
  count(): number;
  /** Resolves when nothing is left. */
  idle(): Promise<void>;
  /** Forgets what has not begun. */
  clear(): void;
}

/** @param onDone - told after each turn */
export function createTurns(onDone: () => void): Turns {
  const waiting: (() => Promise<void>)[] = [];
  let running: Promise<void> | undefined;

  const run = async (): Promise<void> => {
    for (let turn = waiting[0]; turn !== undefined; turn = waiting[0]) {
      await turn();
      waiting.shift();
      onDone();
    }
    running = undefined;
  };
  return {
    add: (turn) => {
      waiting.push(turn);
      running ??= run();
    },
    count: () => waiting.length,
    idle: () => running ?? Promise.resolve(),
    clear: () => void waiting.splice(1),
  };
}
