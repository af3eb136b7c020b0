import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { createToken } from '../core/ids.ts';
import { sha256Hex } from '../core/secret.ts';
import type { DocumentStore, StoredDocument } from '../stores/ports.ts';
import type { DirectoryDeps } from './connector-directory.ts';
import type { ConnectorRegistry } from './connector-registry.ts';
import type { Caller } from './connector.ts';
import type { CallerRequest } from './schemas.ts';
import { createWatchedCopy } from './watched-copy.ts';

/** How a caller's token begins. */
export const CALLER_TOKEN_PREFIX = 'csc_';
/** Random bytes of a caller's token. */
const TOKEN_BYTES = 32;

const storedCaller = z.strictObject({
  name: z.string(),
  connectors: z.array(z.string()).optional(),
  tokenHash: z.string(),
  createdAt: z.number(),
});

function parseCaller({ id, body }: StoredDocument): Caller {
  try {
    return { ...storedCaller.parse(JSON.parse(body)), id } as Caller;
  } catch (error) {
    throw new AppError('internal', { detail: `the stored caller ${id} cannot be read`, cause: error });
  }
}

/** Registration of those who may call through a gateway. */
export interface CallerRegistry {
  /** Registers a caller. The token is returned here and never again. @throws AppError `invalid_request` on an unknown connector */
  create(request: CallerRequest): Promise<{ caller: Caller; token: string }>;
  list(): Promise<Caller[]>;
  /** Its token is refused from now on. @throws AppError `caller_not_found` */
  remove(id: string): Promise<void>;
}

export interface CallerRegistryDeps {
  readonly documents: DocumentStore;
  readonly connectors: Pick<ConnectorRegistry, 'list'>;
  readonly clock: Clock;
}

export function createCallerRegistry({ documents, connectors, clock }: CallerRegistryDeps): CallerRegistry {
  return {
    create: async (request) => {
      const { connectors: allowed } = request;
      const known = allowed && new Set((await connectors.list()).map(({ id }) => id));
      if (known && allowed?.some((id) => !known.has(id))) {
        throw new AppError('invalid_request', { values: { detail: '"connectors" names one that does not exist' } });
      }
      const token = CALLER_TOKEN_PREFIX + createToken(TOKEN_BYTES);
      const id = `cl-${randomUUID()}`;
      // SECURITY: only the hash is kept.
      const stored = { ...request, tokenHash: sha256Hex(token), createdAt: clock.nowSeconds() };
      const document = { id, revision: 1, body: JSON.stringify(stored) };
      await documents.insert('callers', id, document.body);
      return { caller: parseCaller(document), token };
    },
    list: async () =>
      (await documents.list('callers'))
        .map(parseCaller)
        .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1)),
    remove: async (id) => {
      if (!(await documents.remove('callers', id))) throw new AppError('caller_not_found');
    },
  };
}

/** All callers in a gateway's memory. */
export interface CallerDirectory {
  /**
   * Whose token this is; looked up by its hash, so that the time tells nothing of it.
   * @returns undefined where it is nobody's. @throws AppError `store_unavailable` where the copy is too old to be relied on
   */
  findCaller(token: string): Caller | undefined;
  /** For a token that is nobody's: its caller may have been made a moment ago. Never throws. */
  refreshOnMiss(): Promise<void>;
  /** Waits for a first copy. @throws AppError `store_unavailable` */
  load(): Promise<void>;
  close(): void;
}

/** The longest token that is looked at, in characters. */
export const MAX_CALLER_TOKEN_LENGTH = 128;

export function createCallerDirectory({ documents, clock, onProblem }: DirectoryDeps): CallerDirectory {
  const toReadable = (document: StoredDocument): Caller[] => {
    try {
      return [parseCaller(document)];
    } catch {
      onProblem(`the stored caller ${document.id} cannot be read`);
      return [];
    }
  };
  const copy = createWatchedCopy<ReadonlyMap<string, Caller>>({
    documents,
    collection: 'callers',
    toCopy: (found) => new Map(found.flatMap(toReadable).map((caller) => [caller.tokenHash, caller])),
    clock,
    onProblem,
  });
  return {
    findCaller: (token) => {
      const callers = copy.current();
      const isLikely = token.startsWith(CALLER_TOKEN_PREFIX) && token.length <= MAX_CALLER_TOKEN_LENGTH;
      return isLikely ? callers.get(sha256Hex(token)) : undefined;
    },
    refreshOnMiss: copy.refreshOnMiss,
    load: async () => void (await copy.refresh()),
    close: copy.close,
  };
}
