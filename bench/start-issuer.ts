import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { JSON_FIELDS, MINT_BODIES } from './bodies.ts';
import type { Contestant, Entry, Surroundings } from './contestant.ts';
import { NO_LIMIT, startPinned } from './server.ts';

type Environment = Readonly<Record<string, string>>;

const RSA = { modulusLength: 2048 } as const;

const createSecret = (): Environment => ({
  COUNTERSIGN_ALGORITHM: 'HS256',
  COUNTERSIGN_CLIENT_SECRET: randomBytes(32).toString('base64'),
});

/** What an issuer signs with, and whom it encrypts for, by what it makes. */
const WAYS = {
  hs256: (): Promise<Environment> => Promise.resolve(createSecret()),
  rs256: async (folder: string): Promise<Environment> => {
    const file = join(folder, 'issuer.pem');
    const { privateKey } = generateKeyPairSync('rsa', RSA);
    await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    return { COUNTERSIGN_ALGORITHM: 'RS256', COUNTERSIGN_PRIVATE_KEY_FILE: file };
  },
  nested: async (folder: string): Promise<Environment> => {
    const file = join(folder, 'platform.jwk');
    const jwk = generateKeyPairSync('rsa', RSA).publicKey.export({ format: 'jwk' });
    await writeFile(file, JSON.stringify({ ...jwk, kid: 'bench', use: 'enc' }));
    return { ...createSecret(), COUNTERSIGN_JWE_KEY_FILE: file };
  },
} as const satisfies Record<string, (folder: string) => Promise<Environment>>;

/** `countersign issuer`; anyone may ask it, since what the check of callers costs is the customer's. */
export async function startIssuer(entry: Entry, way: keyof typeof WAYS, { folder }: Surroundings): Promise<Contestant> {
  const key = await WAYS[way](folder);
  const server = await startPinned(
    {
      script: resolve('dist', 'main.js'),
      toArgs: () => ['issuer'],
      toEnvironment: (port) => ({
        ...NO_LIMIT,
        ...key,
        COUNTERSIGN_ISSUER_PORT: String(port),
        COUNTERSIGN_CLIENT_ID: 'cs-bench',
        COUNTERSIGN_CALLER_AUTH: 'open',
      }),
    },
    folder,
  );
  return { ...entry, url: `${server.url}/api/users/sts`, fields: JSON_FIELDS, bodies: MINT_BODIES, server };
}
