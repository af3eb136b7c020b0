import { readFileSync } from 'node:fs';

import { Secret } from '../core/secret.ts';
import type { Environment } from './variables.ts';

/** What the variables that name files bring into the configuration. */
export interface ConfigFiles {
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly privateKey: Secret | undefined;
  readonly jweKey: string | undefined;
  readonly apiKeys: string | undefined;
  readonly introspectionKeys: string | undefined;
  readonly contextKeys: string | undefined;
}

/** Reads every file that the variables name; a file that cannot be read is a problem. */
export function readFiles(environment: Environment): { files: ConfigFiles; problems: string[] } {
  const problems: string[] = [];
  const read = (name: keyof Environment & `${string}_FILE`): string | undefined => {
    const path = environment[name];
    if (path === undefined) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      problems.push(
        `${name}: the file cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'})`,
      );
      return undefined;
    }
  };
  const cert = read('COUNTERSIGN_TLS_CERT_FILE');
  const key = read('COUNTERSIGN_TLS_KEY_FILE');
  const privateKey = read('COUNTERSIGN_PRIVATE_KEY_FILE');
  const files = {
    tls: cert !== undefined && key !== undefined ? { cert, key } : undefined,
    privateKey: privateKey === undefined ? undefined : new Secret(privateKey),
    jweKey: read('COUNTERSIGN_JWE_KEY_FILE'),
    apiKeys: read('COUNTERSIGN_API_KEYS_FILE'),
    introspectionKeys: read('COUNTERSIGN_INTROSPECTION_KEYS_FILE'),
    contextKeys: read('COUNTERSIGN_CONTEXT_KEYS_FILE'),
  };
  return { files, problems };
}
