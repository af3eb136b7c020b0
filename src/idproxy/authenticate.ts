import type { IncomingMessage } from 'node:http';

import type { AppDirectory } from '../apps/directory.ts';
import type { App } from '../apps/schemas.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { toUserId } from '../core/ids.ts';
import { readBearer, readDpopToken } from '../http/credentials.ts';
import type { SessionName, SessionStore } from '../stores/ports.ts';
import type { AccessTokens } from './access-token.ts';
import { type CheckDpop, type KeyProof, toDpopError } from './dpop.ts';
import { parseSessionBody, type Session, toSessionId } from './session.ts';

/** A live session and its app. */
export interface LiveSession extends SessionName {
  readonly id: string;
  readonly session: Session;
  readonly identityId: string;
  /** The conversation of its user. */
  readonly conversation: string;
  /** Absent where the app was deleted. */
  readonly app: App | undefined;
}

/**
 * Whether the bearer of a session is bound to a key, where its app asks for that.
 * SECURITY: an app may begin to ask at any time; what was granted before holds no longer than that.
 */
export function isBoundAsAsked({ app, session }: Pick<LiveSession, 'app' | 'session'>): boolean {
  return app?.requireDpop !== true || session.jkt !== undefined;
}

/** Finds a live session. @returns undefined where it is unknown, revoked or expired */
export type FindSession = (name: SessionName | undefined) => Promise<LiveSession | undefined>;

export interface FindSessionDeps {
  readonly sessions: SessionStore;
  readonly directory: AppDirectory;
  readonly clock: Clock;
  /** The claim `sub` of a stored identity. @throws AppError `internal` */
  readonly readSubject: (identityBody: string) => string;
}

export function createFindSession({ sessions, directory, clock, readSubject }: FindSessionDeps): FindSession {
  return async function findSession(name) {
    const found = name && (await sessions.find(name.tag, name.key));
    if (found === undefined || name === undefined) return undefined;
    const { id: identityId, owner: clientId, isKept, body, conversation } = found.identity;
    const stored = parseSessionBody(found.body);
    if (stored.expiresAt <= clock.nowSeconds()) return undefined;
    const session = {
      ...stored,
      clientId,
      subject: readSubject(body),
      userId: toUserId(identityId),
      isAnonymous: !isKept,
    };
    const app = (await directory.find(clientId))?.app;
    return { tag: name.tag, key: name.key, id: toSessionId(name), session, identityId, conversation, app };
  };
}

/** Authenticates the request's bearer. */
export type Authenticate = (req: IncomingMessage) => Promise<LiveSession & { readonly app: App }>;

export interface AuthenticateDeps {
  readonly findSession: FindSession;
  readonly accessTokens: Pick<AccessTokens, 'parse'>;
  readonly checkDpop: CheckDpop;
}

/**
 * 401 means only that the bearer is expired or unknown: published clients then fetch a new JWT without any back-off. A bearer that is
 * bound to a key is one together with a proof alone.
 * @throws AppError `bearer_missing`, `bearer_invalid`, `bearer_bound`, `bearer_not_bound`, `invalid_dpop_proof`,
 * `dpop_proof_replayed` (401), `client_forbidden`, `bearer_unbound` (403)
 */
export function createAuthenticate({ findSession, accessTokens, checkDpop }: AuthenticateDeps): Authenticate {
  /** SECURITY: by its scheme a token says whether it is bound, and what is stored of its session decides. */
  const checkProof = async (req: IncomingMessage, token: string, jkt: string | undefined) => {
    const isShown = readDpopToken(req) !== undefined;
    if (jkt === undefined && isShown) throw toDpopError('bearer_not_bound');
    if (jkt === undefined) return undefined;
    if (!isShown) throw toDpopError('bearer_bound');
    const proof = await checkDpop(req, { token, jkt });
    if (proof === undefined) throw toDpopError('invalid_dpop_proof', { values: { detail: 'is missing' } });
    return proof;
  };

  return async function authenticate(req) {
    const token = readBearer(req) ?? readDpopToken(req);
    if (token === undefined) throw new AppError('bearer_missing');
    const live = await findSession(await accessTokens.parse(token));
    if (live === undefined) throw new AppError('bearer_invalid');
    const proof: KeyProof | undefined = await checkProof(req, token, live.session.jkt);
    const { app, ...rest } = live;
    if (!app?.enabled) throw new AppError('client_forbidden', { detail: live.session.clientId });
    if (!isBoundAsAsked(live)) throw new AppError('bearer_unbound', { detail: live.session.clientId });
    await proof?.use();
    return { ...rest, app };
  };
}
