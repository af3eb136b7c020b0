import { describe, type RedisConnection } from './redis-connection.ts';

/** How often the server is asked for a sign of life, in milliseconds; without one until the next time the connection is given up. */
const PING_EVERY_MS = 3_000;

/** Publications of the server, on a connection of their own. */
export interface RedisSubscriber {
  /** Tells `listener` every message of a channel. */
  on(channel: string, listener: (message: string) => void): void;
  /** Tells `listener` that publications may have been missed. @returns a function that ends it */
  onGap(listener: () => void): () => void;
  close(): void;
}

/** A connection that is given up when the server falls silent: a dead line looks like one on which nothing is published. */
export function createRedisSubscriber(
  { client }: RedisConnection,
  onProblem: (detail: string) => void,
): RedisSubscriber {
  const subscriber = client.duplicate({ enableOfflineQueue: true, maxRetriesPerRequest: null });
  const listeners = new Map<string, (message: string) => void>();
  const gapListeners = new Set<() => void>();
  const report = (error: unknown): void => onProblem(`redis subscriber: ${describe(error)}`);
  subscriber.on('error', report);
  let isAnswered = true;
  // Whatever was published while there was no connection is lost.
  subscriber.on('ready', () => {
    isAnswered = true;
    if (listeners.size === 0) return;
    subscriber.subscribe(...listeners.keys()).then(() => gapListeners.forEach((tell) => tell()), report);
  });
  subscriber.on('message', (channel: string, message: string) => listeners.get(channel)?.(message));

  const beat = (): void => {
    // In every other state the client is at work by itself, with time limits of its own.
    if (subscriber.status !== 'ready' && subscriber.status !== 'connect') {
      isAnswered = true;
    } else if (!isAnswered) {
      onProblem('redis subscriber: the server has stopped answering');
      isAnswered = true;
      subscriber.disconnect(true);
    } else {
      isAnswered = false;
      if (subscriber.status === 'ready') subscriber.ping().then(() => (isAnswered = true), report);
    }
  };
  const timer = setInterval(beat, PING_EVERY_MS);
  timer.unref();

  return {
    on: (channel, listener) => {
      listeners.set(channel, listener);
      subscriber.subscribe(channel).catch(report);
    },
    onGap: (listener) => {
      gapListeners.add(listener);
      return () => void gapListeners.delete(listener);
    },
    close: () => {
      clearInterval(timer);
      subscriber.disconnect();
    },
  };
}
