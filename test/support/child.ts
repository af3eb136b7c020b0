import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';

/** How a process ended: its exit code, or null and the signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running process whose output is kept, and which never outlives the test process. */
export interface Child {
  readonly pid: number;
  /** Resolves when the process has ended and its output is complete. */
  readonly exited: Promise<Exit>;
  hasExited(): boolean;
  stdout(): string;
  stderr(): string;
  /** Sends a signal; nothing happens when the process has ended. */
  signal(name: NodeJS.Signals): void;
  /** Asks the process to end, kills it when it does not within `graceMs`. */
  stop(graceMs?: number): Promise<Exit>;
  /** Ends the process at once, as a power cut would. */
  kill(): Promise<Exit>;
}

/** What to run. Nothing of the environment is inherited but `PATH`. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Written to the standard input, which is closed otherwise. */
  readonly input?: string;
}

const STOP_GRACE_MS = 20_000;
const running = new Set<ChildProcess>();

process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
// The test runner ends a file that takes too long with SIGTERM: its children go with it.
process.once('SIGTERM', () => process.exit(143));

/** Starts a process. @throws when the command does not exist */
export async function startChild({ command, args, cwd, env = {}, input }: Command): Promise<Child> {
  const path = process.env['PATH'] ?? '';
  const child = spawn(command, args, { cwd, env: { PATH: path, ...env }, stdio: 'pipe' });
  const exited = new Promise<Exit>((done) => {
    child.once('close', (code, signal) => done({ code, signal }));
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  }
  // A child that ends without reading its input closes the pipe under us; its exit code says what happened.
  child.stdin.on('error', () => undefined).end(input);

  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} has no process id`);
  running.add(child);
  void exited.then(() => running.delete(child));

  const signal = (name: NodeJS.Signals): void => void child.kill(name);
  const kill = (): Promise<Exit> => {
    signal('SIGKILL');
    return exited;
  };
  const stop = async (graceMs = STOP_GRACE_MS): Promise<Exit> => {
    signal('SIGCONT');
    signal('SIGTERM');
    const timer = setTimeout(() => signal('SIGKILL'), graceMs);
    try {
      return await exited;
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    pid,
    exited,
    hasExited: () => child.exitCode !== null || child.signalCode !== null,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    signal,
    stop,
    kill,
  };
}

/** What a process printed and how it ended, for the message of a failure. */
export function describeChild(child: Child): string {
  return `stdout:\n${child.stdout()}\nstderr:\n${child.stderr()}`;
}

/**
 * Polls until `isReady` says yes.
 *
 * @throws with the child's output when the child ends first or `timeoutMs` pass; the child is killed then
 */
export async function waitUntilReady(child: Child, isReady: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isReady())) {
    const reason = child.hasExited() ? 'ended before it was ready' : 'was not ready in time';
    if (child.hasExited() || performance.now() > deadline) {
      await child.kill();
      throw new Error(`the process ${reason}\n${describeChild(child)}`);
    }
    await wait(20);
  }
}
