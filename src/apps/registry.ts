import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { createClientId } from '../core/ids.ts';
import type { DocumentStore, IdentityStore, SessionStore } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import { parseApp, toBody } from './app-document.ts';
import { findGap } from './keys/key-life.ts';
import { createAppKey, type KeySource } from './keys/key-material.ts';
import type { AppKey } from './keys/schemas.ts';
import type { App, AppPatch, AppRequest } from './schemas.ts';

/** Users that are erased in one go when their app is deleted. */
const ERASED_AT_ONCE = 500;

/** Registration of SDK apps. */
export interface AppRegistry {
  /** Registers an app. The secret (HS256, HS512) is returned here and never again. */
  create(request: AppRequest): Promise<{ app: App; clientSecret?: string }>;
  list(): Promise<App[]>;
  /** @throws AppError `app_not_found` */
  get(clientId: string): Promise<App>;
  /**
   * Changes an app. A public key or JWKS URL takes the place of all its keys at once; {@link AppKeys} changes them without an outage.
   * @throws AppError `app_not_found`, `app_conflict` when somebody else changed it meanwhile
   */
  update(clientId: string, patch: AppPatch): Promise<App>;
  /** Deletes an app, and then erases its users. @throws AppError `app_not_found` */
  remove(clientId: string): Promise<void>;
}

export interface AppRegistryDeps {
  readonly documents: DocumentStore;
  readonly identities: IdentityStore;
  readonly sessions: Pick<SessionStore, 'purge'>;
  readonly vault: Vault;
  readonly clock: Clock;
}

export function createAppRegistry({ documents, identities, sessions, vault, clock }: AppRegistryDeps): AppRegistry {
  const read = async (clientId: string): Promise<{ app: App; revision: number }> => {
    const document = await documents.get('apps', clientId);
    if (document === undefined) throw new AppError('app_not_found');
    return { app: parseApp(document), revision: document.revision };
  };

  const eraseUsers = async (clientId: string): Promise<void> => {
    let page: { id: string }[];
    do {
      page = await identities.list(clientId, '', ERASED_AT_ONCE);
      await Promise.all(page.map(({ id }) => identities.remove(id)));
    } while (page.length > 0);
    await sessions.purge();
  };

  const replaceKeys = (app: App, source: KeySource, now: number): readonly AppKey[] => {
    const { key } = createAppKey(app, source, { createdAt: now, activatesAt: now }, vault);
    const [only, ...others] = app.keys;
    const isSame = only?.publicKey === key.publicKey && only?.jwksUrl === key.jwksUrl;
    return isSame && others.length === 0 && findGap(app.keys, now) === undefined ? app.keys : [key];
  };

  return {
    create: async ({ publicKey, jwksUrl, ...request }) => {
      const clientId = createClientId();
      const now = clock.nowSeconds();
      const { key, clientSecret } = createAppKey(
        { clientId, algorithm: request.algorithm },
        { publicKey, jwksUrl },
        { createdAt: now, activatesAt: now },
        vault,
      );
      const app: App = { ...request, clientId, createdAt: now, updatedAt: now, keys: [key] };
      if (!(await documents.insert('apps', clientId, toBody(app)))) throw new AppError('app_conflict');
      return { app, ...(clientSecret !== undefined && { clientSecret }) };
    },
    list: async () => (await documents.list('apps')).map(parseApp),
    get: async (clientId) => (await read(clientId)).app,
    update: async (clientId, { publicKey, jwksUrl, jwe, merge, ...patch }) => {
      const { app, revision } = await read(clientId);
      const now = clock.nowSeconds();
      const updated = {
        ...app,
        ...patch,
        jwe: { ...app.jwe, ...jwe },
        merge: { ...app.merge, ...merge },
        updatedAt: now,
        ...((publicKey ?? jwksUrl) !== undefined && { keys: replaceKeys(app, { publicKey, jwksUrl }, now) }),
      } as App;
      if (!(await documents.update('apps', clientId, toBody(updated), revision))) throw new AppError('app_conflict');
      return updated;
    },
    remove: async (clientId) => {
      const wasThere = await documents.remove('apps', clientId);
      // Of an app that is gone, too: a deletion that was cut off can be asked for again.
      await eraseUsers(clientId);
      if (!wasThere) throw new AppError('app_not_found');
    },
  };
}
