import cluster from 'node:cluster';

import { createPortPair, type Port } from './channel.ts';
import { runWorker, type WorkerDeps } from './worker.ts';

/** How a worker ended: a sentence for the log. */
export type WorkerExit = string;

/** A worker as its primary holds it. */
export interface WorkerHandle {
  readonly port: Port;
  /** Absent where it runs in the primary's own process. */
  readonly pid: number | undefined;
  readonly exited: Promise<WorkerExit>;
  /** Ends it at once. */
  kill(): void;
}

/** Starts a worker. */
export type Fork = () => WorkerHandle;

/**
 * Workers as processes of `node:cluster`, started with the words of this process. They end by themselves when the primary
 * is gone: their pipe ends then, and nothing that they did could be written down any more.
 */
export function createClusterFork(): Fork {
  // Advanced: a text is copied into the pipe rather than written as JSON once more.
  cluster.setupPrimary({ serialization: 'advanced' });
  return () => {
    const worker = cluster.fork();
    const exited = new Promise<WorkerExit>((resolve) => {
      worker.once('error', (error) => resolve(error.message));
      worker.once('exit', (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
    });
    // A pipe that is closed is told by the exit.
    worker.process.on('error', () => undefined);
    return {
      pid: worker.process.pid,
      port: {
        send: (message) => void (worker.isConnected() && worker.process.send?.(message, () => undefined)),
        onMessage: (listener) => void worker.on('message', listener),
      },
      exited,
      kill: () => void worker.process.kill('SIGKILL'),
    };
  };
}

/** The end of the pipe in a process that {@link createClusterFork} started. */
export function createWorkerPort(): Port {
  return {
    send: (message) => void (process.connected && process.send?.(message, () => undefined)),
    onMessage: (listener) => void process.on('message', listener),
  };
}

/** Without a cluster: the worker runs in the primary's own process, behind the same messages. */
export function createInProcessFork(deps: WorkerDeps): Fork {
  return () => {
    const [outer, inner] = createPortPair();
    const exited = runWorker(inner, deps).then(
      () => 'it has ended',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    return { pid: undefined, port: outer, exited, kill: () => undefined };
  };
}
