import { AppError } from '../core/errors.ts';
import type { Collection, DocumentStore, StoredDocument } from '../stores/ports.ts';
import { toSealedPrefix, type Vault } from '../vault/vault.ts';
import { parseApp, toBody } from './app-document.ts';
import { resealKey } from './keys/key-material.ts';
import { resealPlatformKey } from './platform-keys/stored-key.ts';

/** How often a document that somebody else changed meanwhile is read again. */
const ATTEMPTS = 10;

/** Seals what is in a document under the master key that seals now. @returns its new body @throws VaultError */
export type ResealDocument = (vault: Vault, document: StoredDocument) => string;

/** The collections of this room that hold something sealed. */
export const SEALED_HERE: Partial<Readonly<Record<Collection, ResealDocument>>> = {
  apps: (vault, document) => {
    const app = parseApp(document);
    return toBody({ ...app, keys: app.keys.map((key) => resealKey(vault, app.clientId, key)) });
  },
  'platform-keys': resealPlatformKey,
};

/** How far the documents of one collection are. */
export interface ReencryptProgress {
  readonly collection: Collection;
  /** Documents that were looked at. */
  readonly done: number;
  readonly of: number;
  /** Those among them that were sealed anew. */
  readonly changed: number;
}

export interface ReencryptDeps {
  readonly documents: DocumentStore;
  readonly vault: Vault;
  readonly collections: Partial<Readonly<Record<Collection, ResealDocument>>>;
  /** Told after each document. */
  readonly onProgress: (progress: ReencryptProgress) => void;
}

/** Any sealed text, as it stands inside a document. */
const SEALED = /v\d+\.[\da-f]{8}\.[\w-]{30}/g;

/**
 * Seals everything in the documents under the master key that seals now. What is so already is passed over: a run that was cut off
 * is taken up by the next one. A document that somebody changes meanwhile is read again, and never overwritten.
 * @returns the progress of each collection at its end
 */
export async function reencryptDocuments(deps: ReencryptDeps): Promise<ReencryptProgress[]> {
  const { documents, collections, onProgress } = deps;
  const results: ReencryptProgress[] = [];
  for (const [name, resealDocument] of Object.entries(collections)) {
    const collection = name as Collection;
    const stored = await documents.list(collection);
    let progress: ReencryptProgress = { collection, done: 0, of: stored.length, changed: 0 };
    for (const document of stored) {
      const isChanged = await reencryptOne(deps, collection, document, resealDocument);
      progress = { ...progress, done: progress.done + 1, changed: progress.changed + (isChanged ? 1 : 0) };
      onProgress(progress);
    }
    results.push(progress);
  }
  return results;
}

/** @returns whether it was sealed anew */
async function reencryptOne(
  { documents, vault }: ReencryptDeps,
  collection: Collection,
  listed: StoredDocument,
  resealDocument: ResealDocument,
): Promise<boolean> {
  let document: StoredDocument | undefined = listed;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (document === undefined || !hasFormer(document, vault)) return false;
    const body = resealDocument(vault, document);
    if (await documents.update(collection, document.id, body, document.revision)) return true;
    document = await documents.get(collection, listed.id);
  }
  const detail = `${collection}: the document ${listed.id} is changed all the time; run it again`;
  throw new AppError('internal', { detail });
}

/** Whether it holds something that is not sealed under the present master key. */
function hasFormer({ body }: StoredDocument, vault: Vault): boolean {
  return (body.match(SEALED) ?? []).some((sealed) => !sealed.startsWith(toSealedPrefix(vault.keyId)));
}

/** How many documents hold something that this master key sealed, by collection; collections with none are left out. */
export async function countSealedDocuments(
  documents: DocumentStore,
  collections: readonly Collection[],
  keyId: string,
): Promise<Partial<Record<Collection, number>>> {
  const counts: Partial<Record<Collection, number>> = {};
  for (const collection of collections) {
    const found = (await documents.list(collection)).filter(({ body }) => body.includes(toSealedPrefix(keyId)));
    if (found.length > 0) counts[collection] = found.length;
  }
  return counts;
}
