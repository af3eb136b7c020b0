import { createPublicKey } from 'node:crypto';
import { join } from 'node:path';

import type { AppRegistry } from '../apps/registry.ts';
import { appRequest } from '../apps/schemas.ts';
import { AppError } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import { JWS_ALGORITHMS, type JwsAlgorithm } from '../jose/algorithms.ts';
import { createRsaPrivateKeyPem } from '../jose/jwk.ts';
import { readIfPresent, replaceFile } from '../vault/key-file.ts';
import type { IssuerIdentity } from './start-issuer.ts';

/**
 * The demo app of `countersign start`, and its issuer's credentials from the keys folder; both are made where they are
 * missing, or where the one no longer belongs to the other.
 */
export async function loadDemoApp(
  registry: AppRegistry,
  keysDir: string,
  algorithm: JwsAlgorithm,
): Promise<IssuerIdentity> {
  const path = join(keysDir, `demo-client-${algorithm}.json`);
  const text = await readIfPresent(path);
  const kept = text === undefined ? undefined : (JSON.parse(text) as { clientId: string; key: string });
  if (kept && (await isRegistered(registry, kept.clientId))) {
    return { clientId: kept.clientId, algorithm, key: new Secret(kept.key) };
  }
  const privateKey = JWS_ALGORITHMS[algorithm].keyType === 'rsa' ? await createRsaPrivateKeyPem() : undefined;
  const publicKey = privateKey && (createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }) as string);
  const { app, clientSecret } = await registry.create(
    appRequest.parse({ name: `Demo (${algorithm})`, algorithm, allowAnonymous: true, enforceJti: true, publicKey }),
  );
  const key = privateKey ?? clientSecret ?? '';
  await replaceFile(path, `${JSON.stringify({ clientId: app.clientId, key }, null, 2)}\n`);
  return { clientId: app.clientId, algorithm, key: new Secret(key) };
}

async function isRegistered(registry: AppRegistry, clientId: string): Promise<boolean> {
  try {
    await registry.get(clientId);
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === 'app_not_found') return false;
    throw error;
  }
}
