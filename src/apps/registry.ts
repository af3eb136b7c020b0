import { randomBytes } from 'node:crypto';

import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { createClientId } from '../core/ids.ts';
import { JWS_ALGORITHMS, type JwsAlgorithm } from '../jose/algorithms.ts';
import { KeyError, parseRsaPublicKey } from '../jose/jwk.ts';
import type { DocumentStore, IdentityStore, SessionStore } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import { parseApp, sealSecret, toBody } from './app-document.ts';
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
  /** @throws AppError `app_not_found`, `app_conflict` when somebody else changed it meanwhile */
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

const invalid = (detail: string): AppError => new AppError('invalid_request', { values: { detail } });

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

  return {
    create: async ({ publicKey, ...request }) => {
      const clientId = createClientId();
      const { secretBytes } = JWS_ALGORITHMS[request.algorithm];
      const now = clock.nowSeconds();
      const clientSecret = secretBytes > 0 ? randomBytes(secretBytes).toString('base64') : undefined;
      const key = toPublicKeyPem(request.algorithm, publicKey);
      const app: App = {
        ...request,
        clientId,
        createdAt: now,
        updatedAt: now,
        ...(clientSecret !== undefined && { sealedSecret: sealSecret(vault, clientId, clientSecret) }),
        ...(key !== undefined && { publicKey: key }),
      };
      if (!(await documents.insert('apps', clientId, toBody(app)))) throw new AppError('app_conflict');
      return { app, ...(clientSecret !== undefined && { clientSecret }) };
    },
    list: async () => (await documents.list('apps')).map(parseApp),
    get: async (clientId) => (await read(clientId)).app,
    update: async (clientId, { publicKey, jwe, merge, ...patch }) => {
      const { app, revision } = await read(clientId);
      const key = publicKey === undefined ? app.publicKey : toPublicKeyPem(app.algorithm, publicKey);
      const updated = {
        ...app,
        ...patch,
        jwe: { ...app.jwe, ...jwe },
        merge: { ...app.merge, ...merge },
        updatedAt: clock.nowSeconds(),
        ...(key !== undefined && { publicKey: key }),
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

/** The uploaded key as PEM, whatever form it came in; one that does not fit the algorithm is refused. */
function toPublicKeyPem(algorithm: JwsAlgorithm, publicKey: AppRequest['publicKey']): string | undefined {
  const isRsa = JWS_ALGORITHMS[algorithm].keyType === 'rsa';
  if (!isRsa && publicKey === undefined) return undefined;
  if (!isRsa) throw invalid(`"publicKey": ${algorithm} is signed with a secret, which is made here`);
  if (publicKey === undefined) throw invalid(`"publicKey": ${algorithm} needs one`);
  try {
    return parseRsaPublicKey(publicKey).export({ type: 'spki', format: 'pem' }) as string;
  } catch (error) {
    throw error instanceof KeyError ? invalid(`"publicKey": ${error.message}`) : error;
  }
}
