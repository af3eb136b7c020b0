/** What the client needs of its surroundings; each may be replaced. */
export interface Platform {
  readonly fetch: (url: string | URL, init: RequestInit) => Promise<Response>;
  /** Milliseconds since the epoch; time asleep counts. */
  readonly nowMs: () => number;
  /** SECURITY: at least 0, below 1, unpredictable: an anonymous visitor's identity is made of four of them. */
  readonly random: () => number;
  /** Resolves after a while; when the signal fires first, never, and nothing is left running. */
  readonly sleep: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

/** The browser's, or Node's. */
export const PLATFORM: Platform = {
  fetch: (url, init) => fetch(url, init),
  nowMs: () => Date.now(),
  random: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32,
  sleep: (delayMs, signal) =>
    new Promise((done) => {
      const stop = (): void => clearTimeout(timer);
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', stop);
        done();
      }, delayMs);
      signal.addEventListener('abort', stop);
    }),
};
