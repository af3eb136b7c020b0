import type { App } from '../apps/schemas.ts';
import { AppError } from '../core/errors.ts';
import type { LiveSession } from './live-session.ts';
import type { Tickets } from './socket/tickets.ts';

/** Where sockets are opened. A proxy in front takes the path of the public URL away. */
export const SOCKET_PATH = '/rtm/bot';

/** What `…/rtm/start` answers. */
export interface StartedSocket {
  readonly url: string;
  /** What the socket must show; for clients that know how. */
  readonly nonce?: string;
}

/** How a client wants its socket. */
export interface SocketWish {
  /** Empty where it names none. */
  readonly botId: string;
  readonly isSecure: boolean;
}

/** Why an app may not talk with a bot. @returns undefined where it may */
export function findForbidden(app: App | undefined, botId: string): 'client_forbidden' | 'bot_forbidden' | undefined {
  if (!app?.enabled) return 'client_forbidden';
  return app.bots.length > 0 && !app.bots.includes(botId) ? 'bot_forbidden' : undefined;
}

/** Why a socket that was started so may not be open. @returns undefined where it may */
export function findSocketProblem(
  app: App | undefined,
  { botId, isSecure }: SocketWish,
): ReturnType<typeof findForbidden> | 'secure_rtm_required' {
  return findForbidden(app, botId) ?? (app?.requireSecureRtm && !isSecure ? 'secure_rtm_required' : undefined);
}

export interface StartDeps {
  readonly tickets: Pick<Tickets, 'issue'>;
  readonly hasBot: boolean;
  readonly publicUrl: () => string;
}

/**
 * Hands out the URL of one socket.
 * @throws AppError `client_forbidden`, `bot_forbidden` (403), `realtime_unavailable` (404), `store_unavailable`
 */
export type Start = (live: LiveSession, wish: SocketWish) => Promise<StartedSocket>;

export function createStart({ tickets, hasBot, publicUrl }: StartDeps): Start {
  return async function start(live, wish) {
    const forbidden = findForbidden(live.app, wish.botId);
    if (forbidden) throw new AppError(forbidden);
    if (!hasBot) throw new AppError('realtime_unavailable');
    const isSecure = wish.isSecure || live.app?.requireSecureRtm === true;
    const { sid, nonce } = await tickets.issue(live, wish.botId, isSecure);
    const url = toSocketUrl(publicUrl(), { sid, botId: wish.botId, userId: live.session.userId });
    return { url, ...(nonce !== undefined && { nonce }) };
  };
}

/** It holds a `?` already: clients append their own members with `&`. */
function toSocketUrl(publicUrl: string, query: Readonly<Record<string, string>>): string {
  const url = new URL(publicUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.pathname = url.pathname.replace(/\/$/, '') + SOCKET_PATH;
  url.search = new URLSearchParams(query).toString();
  return url.href;
}
