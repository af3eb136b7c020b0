import type { Clock } from '../../core/clock.ts';
import { toIsoDate } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import type { DocumentStore } from '../../stores/ports.ts';
import type { Vault } from '../../vault/vault.ts';
import { parseApp, toBody } from '../app-document.ts';
import type { App } from '../schemas.ts';
import { findGap, isRetired } from './key-life.ts';
import { createAppKey } from './key-material.ts';
import { type AppKey, type AppKeyPatch, type AppKeyRequest, MAX_APP_KEYS } from './schemas.ts';

/** The keys of registered apps. Every act leaves an app with a key at every time to come. */
export interface AppKeys {
  /** @throws AppError `app_not_found` */
  list(clientId: string): Promise<readonly AppKey[]>;
  /**
   * Adds a key. A secret (HS256, HS512) is returned here and never again.
   * @throws AppError `app_not_found`, `app_keys_full`, `app_key_needed`, `app_conflict`, `invalid_request`
   */
  add(clientId: string, request: AppKeyRequest): Promise<AddedKey>;
  /**
   * Sets when a key ends.
   * @throws AppError `app_not_found`, `app_key_not_found`, `app_key_needed`, `app_conflict`
   */
  change(clientId: string, kid: string, patch: AppKeyPatch): Promise<AppKey>;
  /** Ends a key at once, for ever. @throws AppError as {@link AppKeys.change} */
  remove(clientId: string, kid: string): Promise<void>;
}

/** A key that was added, and those that the app has besides. */
export interface AddedKey {
  readonly key: AppKey;
  readonly clientSecret?: string;
  readonly others: readonly AppKey[];
}

export interface AppKeysDeps {
  readonly documents: DocumentStore;
  readonly vault: Vault;
  readonly clock: Clock;
}

export function createAppKeys({ documents, vault, clock }: AppKeysDeps): AppKeys {
  const read = async (clientId: string): Promise<{ app: App; revision: number }> => {
    const document = await documents.get('apps', clientId);
    if (document === undefined) throw new AppError('app_not_found');
    return { app: parseApp(document), revision: document.revision };
  };

  /** Writes the keys that `change` makes of those that are not over, if they leave no gap. */
  const edit = async <T>(
    clientId: string,
    change: (app: App, now: number) => { keys: AppKey[]; made: T },
  ): Promise<T> => {
    const { app, revision } = await read(clientId);
    const now = clock.nowSeconds();
    const { keys, made } = change({ ...app, keys: app.keys.filter((key) => !isRetired(key, now)) }, now);
    const gap = findGap(keys, now);
    if (gap !== undefined) {
      throw new AppError('app_key_needed', { values: { detail: gap <= now ? 'now' : `from ${toIsoDate(gap)} on` } });
    }
    const body = toBody({ ...app, keys, updatedAt: now });
    if (!(await documents.update('apps', clientId, body, revision))) throw new AppError('app_conflict');
    return made;
  };

  const find = ({ keys }: App, kid: string): AppKey => {
    const key = keys.find((one) => one.kid === kid);
    if (key === undefined) throw new AppError('app_key_not_found');
    return key;
  };

  return {
    list: async (clientId) => (await read(clientId)).app.keys,
    add: (clientId, { activatesInSeconds, retireOthersInSeconds, ...source }) =>
      edit(clientId, (app, now) => {
        if (app.keys.length >= MAX_APP_KEYS) throw new AppError('app_keys_full', { values: { limit: MAX_APP_KEYS } });
        const { key, clientSecret } = createAppKey(
          app,
          source,
          { createdAt: now, activatesAt: now + activatesInSeconds },
          vault,
        );
        const end = retireOthersInSeconds === undefined ? undefined : now + retireOthersInSeconds;
        const others = end === undefined ? app.keys : app.keys.map((other) => endBy(other, end));
        return { keys: [...others, key], made: { key, others, ...(clientSecret !== undefined && { clientSecret }) } };
      }),
    change: (clientId, kid, { retiresAt, retiresInSeconds }) =>
      edit(clientId, (app, now) => {
        const { retiresAt: _, ...endless } = find(app, kid);
        const end = retiresInSeconds === undefined ? toSeconds(retiresAt) : now + retiresInSeconds;
        const changed: AppKey = end === undefined ? endless : { ...endless, retiresAt: end };
        return { keys: app.keys.map((key) => (key.kid === kid ? changed : key)), made: changed };
      }),
    remove: (clientId, kid) =>
      edit(clientId, (app) => {
        const gone = find(app, kid);
        return { keys: app.keys.filter((key) => key !== gone), made: undefined };
      }),
  };
}

/** A key that ends at `end` at the latest. */
function endBy(key: AppKey, end: number): AppKey {
  return { ...key, retiresAt: Math.min(key.retiresAt ?? end, end) };
}

function toSeconds(date: string | null | undefined): number | undefined {
  return typeof date === 'string' ? Date.parse(date) / 1_000 : undefined;
}
