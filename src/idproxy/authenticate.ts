import type { IncomingMessage } from 'node:http';

import type { AppDirectory } from '../apps/directory.ts';
import type { App } from '../apps/schemas.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { readBearer } from '../http/credentials.ts';
import type { SessionStore } from '../stores/ports.ts';
import { type Bearer, parseBearer } from './bearer.ts';
import { parseSession, type Session } from './session.ts';

/** A live session and its app. */
export interface LiveSession {
  readonly bearer: Bearer;
  readonly session: Session;
  /** Absent where the app was deleted. */
  readonly app: App | undefined;
}

/** Finds what a bearer stands for. @returns undefined where it is unknown, revoked or expired */
export type FindSession = (accessToken: string) => Promise<LiveSession | undefined>;

export interface FindSessionDeps {
  readonly sessions: SessionStore;
  readonly directory: AppDirectory;
  readonly clock: Clock;
}

export function createFindSession({ sessions, directory, clock }: FindSessionDeps): FindSession {
  return async function findSession(accessToken) {
    const bearer = parseBearer(accessToken);
    const body = bearer && (await sessions.find(bearer.tag, bearer.sessionKey));
    if (bearer === undefined || body === undefined) return undefined;
    const session = parseSession(body);
    if (session.expiresAt <= clock.nowSeconds()) return undefined;
    return { bearer, session, app: (await directory.find(session.clientId))?.app };
  };
}

/** Authenticates the request's bearer. */
export type Authenticate = (req: IncomingMessage) => Promise<LiveSession & { readonly app: App }>;

/**
 * 401 means only that the bearer is expired or unknown: published clients then fetch a new JWT without any back-off.
 * @throws AppError `bearer_missing`, `bearer_invalid` (401), `client_forbidden` (403)
 */
export function createAuthenticate(findSession: FindSession): Authenticate {
  return async function authenticate(req) {
    const token = readBearer(req);
    if (token === undefined) throw new AppError('bearer_missing');
    const live = await findSession(token);
    if (live === undefined) throw new AppError('bearer_invalid');
    const { app, ...rest } = live;
    if (!app?.enabled) throw new AppError('client_forbidden', { detail: live.session.clientId });
    return { ...rest, app };
  };
}
