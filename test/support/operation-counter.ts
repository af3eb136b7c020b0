import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

/** Functions of node:crypto that cost something, under their names. */
const FUNCTIONS = [
  'createHmac',
  'createHash',
  'hash',
  'randomBytes',
  'randomFillSync',
  'createCipheriv',
  'createDecipheriv',
  'verify',
] as const;
const SUBTLE = ['sign', 'verify', 'encrypt', 'decrypt', 'importKey', 'wrapKey', 'unwrapKey', 'digest'] as const;

/** How often each of them was called; what was not called is not there. */
export type OperationCounts = Readonly<Record<string, number>>;

export interface OperationCounter {
  /** Counts what `act` calls. */
  count(act: () => Promise<unknown>): Promise<OperationCounts>;
}

type Callable = (this: unknown, ...args: unknown[]) => unknown;

/** Wraps cryptography and timers of this process for good, so that their calls can be counted. They do what they did. */
export function createOperationCounter(): OperationCounter {
  let counts: Record<string, number> | undefined;
  const wrap = (owner: object, name: string, shownAs: string): void => {
    const original = (owner as Record<string, Callable>)[name] as Callable;
    const counted: Callable = function counted(...args) {
      if (counts !== undefined) counts[shownAs] = (counts[shownAs] ?? 0) + 1;
      return original.apply(this, args);
    };
    Object.defineProperty(owner, name, { value: counted, configurable: true, writable: true });
  };
  for (const name of FUNCTIONS) wrap(crypto, name, name);
  for (const name of SUBTLE) wrap(Object.getPrototypeOf(crypto.webcrypto.subtle) as object, name, `subtle.${name}`);
  for (const name of ['setTimeout', 'setInterval']) wrap(globalThis, name, name);
  syncBuiltinESMExports();
  return {
    count: async (act) => {
      const counted: Record<string, number> = {};
      counts = counted;
      try {
        await act();
      } finally {
        counts = undefined;
      }
      return counted;
    },
  };
}
