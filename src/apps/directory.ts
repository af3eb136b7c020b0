import { AppError } from '../core/errors.ts';
import { DEFAULT_JWE_ALGORITHMS, JWE_ALGORITHMS, JWE_ENCRYPTIONS, type JweAlgorithm } from '../jose/algorithms.ts';
import type { CompactJws } from '../jose/compact.ts';
import type { JwePolicy } from '../jose/jwe.ts';
import type { DocumentStore, StoredDocument } from '../stores/ports.ts';
import { parseApp } from './app-document.ts';
import { createRemoteKeySets, type RemoteKeySetsDeps } from './keys/remote-key-sets.ts';
import { createVerifyWithKeys, type VerifyWithKeysDeps } from './keys/verify-with-keys.ts';
import type { App } from './schemas.ts';

/** How long after a failed load the next one is tried, in milliseconds. */
const RETRY_MS = 200;

/** An app, ready for verifying. */
export interface RegisteredApp {
  readonly app: App;
  /**
   * Whether one of its keys that are live signed the token, under its pinned algorithm. Never throws on what a token says.
   * @throws AppError `upstream_unavailable` where its keys cannot be fetched
   */
  verify(jws: CompactJws): Promise<boolean>;
}

/** All registered apps in memory, as fresh as the store's publications. */
export interface AppDirectory {
  /** @returns undefined for an unknown client id; asks the store before it says so */
  find(clientId: string): Promise<RegisteredApp | undefined>;
  /** The algorithms that any app allows for JWEs: what is decrypted before it is known whose it is. */
  jweUnion(): Promise<JwePolicy>;
  close(): void;
}

export interface AppDirectoryDeps extends Omit<VerifyWithKeysDeps, 'keySets'> {
  readonly documents: DocumentStore;
  /** What reads the key sets of apps that have a URL in place of a key. Absent: they are refused. */
  readonly getText?: RemoteKeySetsDeps['getText'];
  readonly onProblem: (detail: string) => void;
}

interface Snapshot {
  readonly apps: Map<string, { revision: number; entry: RegisteredApp }>;
  readonly union: JwePolicy;
}

export function createAppDirectory(deps: AppDirectoryDeps): AppDirectory {
  const { documents, vault, clock, getText, onProblem } = deps;
  const keySets = createRemoteKeySets({ getText, clock, onProblem });
  let current: Promise<Snapshot> | undefined;
  let known: Snapshot | undefined;
  let retry: NodeJS.Timeout | undefined;
  /** Why the last load failed, until the next one is tried: nobody who asks meanwhile makes it come sooner. */
  let failure: unknown;
  let isClosed = false;

  const toEntry = (document: StoredDocument): RegisteredApp => {
    const app = parseApp(document);
    return { app, verify: createVerifyWithKeys(app, { vault, clock, keySets }) };
  };

  /** One app that cannot be read must not take the others with it: asked for, it fails by itself. */
  const toReadableEntry = (document: StoredDocument): RegisteredApp | undefined => {
    try {
      return toEntry(document);
    } catch (error) {
      onProblem(
        error instanceof AppError && error.detail !== undefined
          ? error.detail
          : `the stored app ${document.id} cannot be read`,
      );
      return undefined;
    }
  };

  const load = async (): Promise<Snapshot> => {
    const apps: Snapshot['apps'] = new Map();
    for (const document of await documents.list('apps')) {
      const { id, revision } = document;
      const old = known?.apps.get(id);
      const entry = old?.revision === revision ? old.entry : toReadableEntry(document);
      if (entry) apps.set(id, { revision, entry });
    }
    return { apps, union: toUnion([...apps.values()].map(({ entry }) => entry.app)) };
  };

  const refresh = (): Promise<Snapshot> => {
    clearTimeout(retry);
    failure = undefined;
    const loading = load();
    loading.then(
      (snapshot) => {
        if (current === loading || current === undefined) known = snapshot;
      },
      (error: unknown) => {
        onProblem(`apps could not be loaded: ${error instanceof Error ? error.message : String(error)}`);
        if (current === loading) {
          current = undefined;
          failure = error;
        }
        if (!isClosed) retry = setTimeout(() => void refresh(), RETRY_MS).unref();
      },
    );
    current = loading;
    return loading;
  };
  // SECURITY: while a change is being loaded nobody is served from the old copy: a disabled app stays disabled.
  const snapshot = (): Promise<Snapshot> => current ?? (failure === undefined ? refresh() : Promise.reject(failure));
  const stopWatching = documents.watch('apps', () => void refresh().catch(() => undefined));

  return {
    find: async (clientId) => {
      const found = (await snapshot()).apps.get(clientId);
      if (found) return found.entry;
      const document = await documents.get('apps', clientId);
      return document && toEntry(document);
    },
    jweUnion: async () => (await snapshot()).union,
    close: () => {
      isClosed = true;
      clearTimeout(retry);
      stopWatching();
    },
  };
}

const OPEN_FOR_ALL: readonly JweAlgorithm[] = DEFAULT_JWE_ALGORITHMS;

function toUnion(apps: readonly App[]): JwePolicy {
  return {
    // SECURITY: an app that is disabled keeps nothing open beyond what is open for all; it still hears that it is disabled.
    algs: JWE_ALGORITHMS.filter((alg) =>
      apps.some(({ enabled, jwe }) => jwe.algs.includes(alg) && (enabled || OPEN_FOR_ALL.includes(alg))),
    ),
    encs: JWE_ENCRYPTIONS.filter((enc) => apps.some(({ jwe }) => jwe.encs.includes(enc))),
  };
}
