import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { CORES } from './load.ts';

/** What one core does of each operation in a second, without anything around it. */
export interface Ceilings {
  readonly sign: number;
  readonly verify: number;
  readonly hmac: number;
}

/** What is asked of OpenSSL. RSA keys have 2048 bits; HMACs go over as many bytes as an assertion has. */
export const CEILINGS = {
  sign: 'RSA-2048, private key: signatures, and decryptions of JWEs',
  verify: 'RSA-2048, public key: verifications',
  hmac: 'HMAC-SHA256 of 256 bytes',
} as const satisfies Record<keyof Ceilings, string>;

const HMAC_BYTES = 256;
const COMMON = ['speed', '-mr', '-seconds', '1'];

const run = promisify(execFile);

function findField(text: string, pattern: RegExp): number {
  const value = Number(pattern.exec(text)?.[1]);
  if (!(value > 0)) throw new Error(`openssl speed said something else than expected:\n${text}`);
  return value;
}

/** Reads what `openssl speed -mr` prints: `+F2:<key>:<bits>:<signatures/s>:<verifications/s>`, `+F:<row>:<name>:<bytes/s>`. */
export function parseSpeed(text: string): Ceilings {
  return {
    sign: findField(text, /^\+F2:\d+:2048:([\d.]+):/m),
    verify: findField(text, /^\+F2:\d+:2048:[\d.]+:([\d.]+)/m),
    hmac: findField(text, /^\+F:\d+:hmac\(sha256\):([\d.]+)/m) / HMAC_BYTES,
  };
}

/** Measures on the server's core, for a second each. */
export async function measureCeilings(): Promise<Ceilings> {
  const ask = async (args: readonly string[]): Promise<string> => {
    const pinned = ['-c', String(CORES.server), 'openssl', ...COMMON, ...args];
    return (await run('taskset', pinned)).stdout;
  };
  const rsa = await ask(['rsa2048']);
  return parseSpeed(`${rsa}${await ask(['-bytes', String(HMAC_BYTES), '-hmac', 'sha256'])}`);
}
