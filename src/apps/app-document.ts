import { toIsoDate } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { StoredDocument } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import { type App, type AppView, storedApp } from './schemas.ts';

const toContext = (clientId: string): string => `app-secret:${clientId}`;

/** @throws AppError `internal` when the store holds something else than an app */
export function parseApp({ id, body }: StoredDocument): App {
  const parsed = storedApp.safeParse(JSON.parse(body));
  if (!parsed.success)
    throw new AppError('internal', { detail: `the stored app ${id} cannot be read`, cause: parsed.error });
  return { ...parsed.data, clientId: id };
}

/** An app as a document's body. */
export function toBody({ clientId: _, ...stored }: App): string {
  return JSON.stringify(stored);
}

/** An app without its secret. */
export function toAppView({ sealedSecret: _, createdAt, updatedAt, ...app }: App): AppView {
  return { ...app, createdAt: toIsoDate(createdAt), updatedAt: toIsoDate(updatedAt) };
}

/** Encrypts a client secret for its app alone. */
export function sealSecret(vault: Vault, clientId: string, secret: string): string {
  return vault.seal(secret, toContext(clientId));
}

/**
 * The key that an app's signatures are verified with: its secret, or its public key as PEM.
 * @throws VaultError when the secret was sealed under another master key
 */
export function openKey(vault: Vault, { clientId, sealedSecret, publicKey }: App): string {
  return sealedSecret === undefined ? (publicKey ?? '') : vault.open(sealedSecret, toContext(clientId));
}
