import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { createTempFolder } from '../../support/processes.ts';

const run = promisify(execFile);

/** The real openssl, in a folder of its own. */
export interface Openssl {
  readonly folder: string;
  /** Runs it. @returns what it printed. @throws where it fails */
  run(...args: string[]): Promise<string>;
  /** Makes a key and a request for it. @returns the request */
  request(key: readonly string[], ...more: string[]): Promise<string>;
  /** Writes a file. @returns its name */
  write(name: string, text: string): Promise<string>;
}

/** Keys by the words that make them. */
export const KEYS = {
  'RSA 1024': ['-newkey', 'rsa:1024'],
  'RSA 2048': ['-newkey', 'rsa:2048'],
  'RSA 2048, exponent 3': ['-newkey', 'rsa:2048', '-pkeyopt', 'rsa_keygen_pubexp:3'],
  'P-256': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  'P-384': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1'],
  'P-521': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp521r1'],
  'P-256 by its parameters': [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-pkeyopt',
    'ec_param_enc:explicit',
  ],
  secp256k1: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'],
  Ed25519: ['-newkey', 'ed25519'],
} as const;

export async function startOpenssl(t: { after: (end: () => Promise<void>) => void }): Promise<Openssl> {
  const folder = await createTempFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  const openssl: Openssl = {
    folder,
    run: async (...args) => (await run('openssl', args, { cwd: folder })).stdout,
    request: async (key, ...more) => {
      await openssl.run(
        'req',
        '-new',
        ...key,
        '-nodes',
        '-keyout',
        'it.key',
        '-out',
        'it.csr',
        '-subj',
        '/CN=x',
        ...more,
      );
      return readFile(join(folder, 'it.csr'), 'utf8');
    },
    write: async (name, text) => {
      await writeFile(join(folder, name), text);
      return name;
    },
  };
  return openssl;
}
