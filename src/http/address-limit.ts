import type { IncomingMessage } from 'node:http';

import { ipKeyGenerator, MemoryStore, type Options } from 'express-rate-limit';

const WINDOW_MS = 60_000;

/** Counts what reaches a server past Express, by caller address, in this process's memory. */
export interface AddressLimit {
  /** By what a caller is counted: the address as `trust proxy` sees it, of IPv6 the network. */
  keyOf(req: IncomingMessage): string;
  /** Whether there may be one more within the minute. */
  take(key: string): Promise<boolean>;
  close(): void;
}

/** An address with its port, as some proxies write it. */
const WITH_PORT = /^(?:\[([\da-f:.]+)\]|(\d{1,3}(?:\.\d{1,3}){3}))(?::\d{1,5})?$/i;

/** By what a caller is counted: an address without its port, of IPv6 the network. */
export function toAddressKey(ip = ''): string {
  // IPv4 alone, or no address at all: there is no port and no network to look for.
  if (!ip.includes(':')) return ip;
  const [, v6, v4] = WITH_PORT.exec(ip) ?? [];
  return ipKeyGenerator(v6 ?? v4 ?? ip);
}

export function createAddressLimit(perMinute: number): AddressLimit {
  const store = new MemoryStore();
  store.init({ windowMs: WINDOW_MS } as Options);
  return {
    // Requests are born as the app's own, see `createExpressClasses`.
    keyOf: (req) => toAddressKey((req as { ip?: string }).ip),
    take: async (key) => (await store.increment(key)).totalHits <= perMinute,
    close: () => store.shutdown(),
  };
}
