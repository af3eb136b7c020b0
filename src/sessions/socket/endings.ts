import type { AppDirectory } from '../../apps/directory.ts';
import type { Clock } from '../../core/clock.ts';
import type { Ending, Store } from '../../stores/ports.ts';
import type { BearerSessions } from '../live-session.ts';
import { findSocketProblem } from '../start.ts';
import type { Connection } from './connection.ts';
import { CLOSE_CODES, type CloseCode, RECHECK_RETRY_MS, RECHECKS_AT_ONCE, type SocketLimits } from './limits.ts';
import type { Registry } from './registry.ts';

/** How a socket is closed by what ended. */
const CLOSED_BY: Readonly<Record<Ending['kind'], readonly [CloseCode, string]>> = {
  session: [CLOSE_CODES.sessionOver, 'the session was revoked'],
  identity: [CLOSE_CODES.sessionOver, 'the user was removed'],
  conversation: [CLOSE_CODES.dropOff, 'Drop-off'],
};

export interface EndingsDeps {
  readonly registry: Registry;
  readonly store: Pick<Store, 'endings' | 'documents'>;
  readonly directory: Pick<AppDirectory, 'find'>;
  readonly bearers: Pick<BearerSessions, 'find'>;
  readonly clock: Clock;
  readonly limits: Pick<SocketLimits, 'heartbeatMs' | 'recheckMs' | 'expiryCheckMs' | 'maxUnsentBytesInAll'>;
}

/** Looks one socket's session up again, and closes it where it would not be opened now. @throws AppError where the store is away */
export async function recheck(
  connection: Connection,
  { bearers, clock }: Pick<EndingsDeps, 'bearers' | 'clock'>,
): Promise<void> {
  const { live, wish } = connection;
  const now = await bearers.find(live);
  if (now === undefined || now.identityId !== live.identityId) {
    connection.close(
      CLOSE_CODES.sessionOver,
      'the session is over',
      hasExpired(connection, clock) ? 'finish' : 'abandon',
    );
    return;
  }
  if (now.conversation !== live.conversation) connection.close(...CLOSED_BY.conversation, 'abandon');
  const forbidden = findSocketProblem(now.app, wish);
  if (forbidden) connection.close(CLOSE_CODES.forbidden, forbidden, 'abandon');
}

/** What was asked while the bearer held may be answered; nothing else is asked with it. */
function hasExpired({ live }: Connection, clock: Clock): boolean {
  return live.session.expiresAt <= clock.nowSeconds();
}

/** Closes sockets when what they stand on ends, in whichever process. @returns a function that ends it */
export function watchEndings(deps: EndingsDeps): () => void {
  const { registry, store, directory, clock, limits } = deps;
  const stop = new AbortController();
  let isRunning = false;
  let isAskedAgain = false;
  let retry: NodeJS.Timeout | undefined;

  const recheckAll = async (): Promise<void> => {
    const connections = [...registry.all()];
    let hasFailed = false;
    const work = async (): Promise<void> => {
      for (let next = connections.pop(); next !== undefined && !stop.signal.aborted; next = connections.pop()) {
        try {
          await recheck(next, deps);
        } catch {
          // While the store is away sockets stay: nobody was told that their session is over, and to close them all would
          // make every client come back at once, to a server that can do nothing for them.
          hasFailed = true;
          return;
        }
      }
    };
    await Promise.all(Array.from({ length: RECHECKS_AT_ONCE }, work));
    if (hasFailed && !stop.signal.aborted) retry = setTimeout(recheckSoon, RECHECK_RETRY_MS).unref();
  };
  /** One at a time; what is asked for meanwhile is done once more afterwards. */
  function recheckSoon(): void {
    clearTimeout(retry);
    isAskedAgain = true;
    if (isRunning) return;
    isRunning = true;
    void (async () => {
      while (isAskedAgain && !stop.signal.aborted) {
        isAskedAgain = false;
        await recheckAll();
      }
      isRunning = false;
    })();
  }

  const closeForbidden = async (): Promise<void> => {
    try {
      for (const connection of registry.all()) {
        const app = (await directory.find(connection.live.session.clientId))?.app;
        const forbidden = findSocketProblem(app, connection.wish);
        if (forbidden) connection.close(CLOSE_CODES.forbidden, forbidden, 'abandon');
      }
    } catch {
      recheckSoon();
    }
  };
  const closeExpired = (): void => {
    for (const connection of registry.all())
      if (hasExpired(connection, clock)) connection.close(CLOSE_CODES.sessionOver, 'the bearer has expired', 'finish');
  };
  // Those that read least go first, until the rest fits.
  const closeUnread = (): void => {
    const unread = registry.all().filter((connection) => connection.unsentBytes() > 0);
    let total = unread.reduce((sum, connection) => sum + connection.unsentBytes(), 0);
    if (total <= limits.maxUnsentBytesInAll) return;
    for (const connection of unread.toSorted((a, b) => b.unsentBytes() - a.unsentBytes())) {
      if (total <= limits.maxUnsentBytesInAll) return;
      total -= connection.unsentBytes();
      connection.close(CLOSE_CODES.tryLater, 'the client does not read');
    }
  };

  const watches = [
    store.endings.watch({
      onEnding: ({ kind, id }) =>
        registry.of(kind, id).forEach((connection) => connection.close(...CLOSED_BY[kind], 'abandon')),
      onGap: recheckSoon,
    }),
    // After the directory's own watcher, so that it is asked for what is new.
    store.documents.watch('apps', () => void closeForbidden()),
  ];
  const timers = [
    setInterval(() => registry.all().forEach((connection) => connection.checkAlive()), limits.heartbeatMs),
    setInterval(recheckSoon, limits.recheckMs),
    setInterval(closeExpired, limits.expiryCheckMs),
    setInterval(closeUnread, limits.expiryCheckMs),
  ];
  for (const timer of timers) timer.unref();

  return () => {
    stop.abort();
    clearTimeout(retry);
    timers.forEach((timer) => clearInterval(timer));
    watches.forEach((end) => end());
  };
}
