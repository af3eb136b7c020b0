import { type Clock, toIsoDate } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { toUserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json.ts';
import type { DocumentStore, IdentityStore, SessionStore, StoredIdentity } from '../stores/ports.ts';
import { type IdentityExport, type IdentityList, type IdentityView, parseUserId } from './identity-schemas.ts';
import { type Identities, parseIdentityBody } from './identity.ts';

/** What an export cannot hold, said in the export itself. */
export const NOT_IN_AN_EXPORT: readonly string[] = [
  'Sessions are stored under hashes of their bearers, each with its times and, sealed, with what assertion and client said of ' +
    'the user (privateClaims, secureCustomData, customData), and are not listed by user. Erasing the user deletes them.',
  'Records of used assertions are hashes that name nobody.',
  'The log holds user ids and client ids, and no subject.',
];

/** Who was erased. */
export type ErasedIdentity = Pick<IdentityView, 'userId' | 'clientId'>;

/** The users of the apps, as the admin sees them. */
export interface IdentityRegistry {
  /**
   * Known users of one app by ascending user id, from behind `cursor`, which is a user id. Users of an app that is not there
   * any more are shown too: they are what an interrupted deletion left.
   */
  list(clientId: string, limit: number, cursor?: string): Promise<IdentityList>;
  /** Registers a known user. @throws AppError `app_not_found`, `identity_exists` */
  register(clientId: string, subject: string): Promise<IdentityView>;
  /** @throws AppError `identity_not_found` */
  lookUp(clientId: string, subject: string, isAnonymous: boolean): Promise<IdentityView>;
  /** @throws AppError `identity_not_found`, also where `userId` is no user id at all */
  get(userId: string): Promise<IdentityView>;
  /** All that is kept of a user. @throws AppError `identity_not_found` */
  export(userId: string): Promise<IdentityExport>;
  /**
   * Erases a user with their conversation, ends their sessions, and deletes what these left; what is kept need not be readable.
   * `onErased` is told as soon as nobody can be that user any more.
   * @throws AppError `identity_not_found`, once what earlier erasures left is deleted
   */
  erase(userId: string, onErased?: (erased: ErasedIdentity) => void): Promise<ErasedIdentity>;
}

/** The messages of a conversation, opened, oldest first. */
export type ReadMessages = (conversation: string) => Promise<readonly JsonObject[]>;

export interface IdentityRegistryDeps {
  readonly documents: Pick<DocumentStore, 'get'>;
  readonly store: IdentityStore;
  readonly sessions: Pick<SessionStore, 'purge'>;
  readonly identities: Pick<Identities, 'create' | 'toId'>;
  readonly readMessages: ReadMessages;
  readonly clock: Clock;
}

export function createIdentityRegistry(deps: IdentityRegistryDeps): IdentityRegistry {
  const { documents, store, sessions, identities, readMessages, clock } = deps;

  const find = async (id: string | undefined): Promise<StoredIdentity> => {
    const stored = id === undefined ? undefined : await store.get(id);
    if (stored === undefined) throw new AppError('identity_not_found');
    return stored;
  };
  // Not from the directory, which may be moments behind: a user of a deleted app would be kept for nobody.
  const hasApp = async (clientId: string): Promise<boolean> => (await documents.get('apps', clientId)) !== undefined;

  return {
    list: async (clientId, limit, cursor) => {
      const found = await store.list(clientId, (cursor && parseUserId(cursor)) ?? '', limit + 1);
      const shown = found.slice(0, limit).map(toView);
      const last = shown.at(-1);
      return { identities: shown, ...(last && found.length > limit && { next: last.userId }) };
    },
    register: async (clientId, subject) => {
      if (!(await hasApp(clientId))) throw new AppError('app_not_found');
      const identity = identities.create(clientId, subject, false, clock.nowSeconds());
      if (!(await store.create(identity))) throw new AppError('identity_exists');
      if (!(await hasApp(clientId))) {
        // Deleted meanwhile: whoever erased its users may have come too early for this one.
        await store.remove(identity.id);
        throw new AppError('app_not_found');
      }
      return toView({ ...identity, activeUntilMs: 0 });
    },
    lookUp: async (clientId, subject, isAnonymous) =>
      toView(await find(identities.toId(clientId, subject, isAnonymous))),
    get: async (userId) => toView(await find(parseUserId(userId))),
    export: async (userId) => {
      const stored = await find(parseUserId(userId));
      const messages = await readMessages(stored.conversation);
      return { identity: toView(stored), messages: [...messages], notIncluded: [...NOT_IN_AN_EXPORT] };
    },
    erase: async (userId, onErased) => {
      const stored = await store.get(parseUserId(userId) ?? '');
      const isErased = stored !== undefined && (await store.remove(stored.id));
      const erased = { userId, clientId: stored?.owner ?? '' };
      // Before what may still fail: the bearers are dead by now.
      if (isErased) onErased?.(erased);
      // What they left at rest: also of a user who is gone, so that an erasure that was cut off can be asked for again.
      await sessions.purge();
      if (!isErased) throw new AppError('identity_not_found');
      return erased;
    },
  };
}

function toView({ id, owner, isKept, body, conversation, activeUntilMs }: StoredIdentity): IdentityView {
  const { subject, createdAt } = parseIdentityBody(body);
  return {
    userId: toUserId(id),
    clientId: owner,
    subject,
    isAnonymous: !isKept,
    createdAt: toIsoDate(createdAt),
    // One who was registered and never came has no time yet.
    ...(activeUntilMs > 0 && { conversation: { id: conversation, activeUntil: toIsoDate(activeUntilMs / 1000) } }),
  };
}
