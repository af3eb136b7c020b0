import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

import { WebSocketServer } from 'ws';

import { AppError } from '../../core/errors.ts';
import type { AddressLimit } from '../../http/address-limit.ts';
import type { LiveSession } from '../live-session.ts';
import type { Store } from '../../stores/ports.ts';
import { type Connection, type ConnectionDeps, createConnection } from './connection.ts';
import { type EndingsDeps, recheck, watchEndings } from './endings.ts';
import {
  ANSWER_GRACE_MS,
  CLOSE_GRACE_MS,
  MAX_FRAGMENTS,
  MAX_FRAME_BYTES,
  MAX_FRAME_CHUNKS,
  PROBE_MS,
  type SocketLimits,
} from './limits.ts';
import { refuseUpgrade, SOCKET_REFUSALS, type SocketRefusal } from './refuse.ts';
import { createRegistry } from './registry.ts';
import { RTM_PROTOCOL } from './subprotocols.ts';
import { admit, type AdmitDeps } from './upgrade.ts';

/** What an upgrade cannot be judged without. */
const AWAY = ['store_unavailable', 'upstream_unavailable'] as const;

export interface SocketServerDeps
  extends
    Omit<ConnectionDeps, 'bot' | 'limits' | 'bearers' | 'metrics' | 'claims'>,
    Omit<EndingsDeps, 'registry' | 'limits' | 'bearers' | 'store'> {
  readonly store: EndingsDeps['store'] & Pick<Store, 'claims'>;
  readonly bearers: ConnectionDeps['bearers'] & AdmitDeps['bearers'];
  readonly tickets: AdmitDeps['tickets'];
  /** Absent: every upgrade is refused. */
  readonly bot: ConnectionDeps['bot'] | undefined;
  readonly metrics: ConnectionDeps['metrics'] & {
    countSocketRefusal(reason: string): void;
    setOpenSockets(count: number): void;
  };
  readonly limits: SocketLimits;
  /** What one address may ask for; upgrades come past the limits of the routes. */
  readonly addresses: AddressLimit;
}

/** The web sockets of one server. */
export interface SocketServer {
  /** Takes or refuses an upgrade of a connection. Never throws. */
  onUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void;
  /**
   * Lets questions that are out be answered for a while, closes every socket with 1012, cuts those that do not answer to it,
   * and ends what is watched.
   */
  close(): Promise<void>;
}

/** What may still come after the grace: a last write to the store. In milliseconds. */
const LAST_WRITE_MS = 1_000;

export function createSocketServer({ bot, ...deps }: SocketServerDeps): SocketServer {
  const { logger, metrics, limits, addresses } = deps;
  const registry = createRegistry();
  const options = {
    noServer: true,
    clientTracking: false,
    autoPong: false,
    maxPayload: MAX_FRAME_BYTES,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: MAX_FRAME_CHUNKS,
    // SECURITY: frames are small; a compressed one could grow a thousandfold, each window takes memory, and what is signed
    // and what an attacker writes would be compressed together.
    perMessageDeflate: false,
    closeTimeout: CLOSE_GRACE_MS,
    // SECURITY: only this one; the others hold the token and the nonce.
    handleProtocols: (offered: Set<string>) => (offered.has(RTM_PROTOCOL) ? RTM_PROTOCOL : false),
  };
  const server = new WebSocketServer(options);
  const stopWatching = watchEndings({ ...deps, registry });
  /** Upgrades that are being checked. */
  let pending = 0;
  let openCount = 0;
  let isClosing = false;

  const refuse = (socket: Duplex, ip: string, refusal: SocketRefusal, error?: unknown): void => {
    metrics.countSocketRefusal(refusal);
    const { status } = SOCKET_REFUSALS[refusal];
    const detail = error instanceof AppError ? error.detail : undefined;
    const cause = error instanceof Error && refusal === 'internal' ? error.stack : undefined;
    const level = status === 503 ? 'warn' : status >= 500 ? 'error' : 'info';
    logger[level]({ ip, status, reason: refusal, detail, cause }, 'socket refused');
    refuseUpgrade(socket, refusal);
  };
  /** Looked at once more when everything else is known: many may have come while this one was checked. */
  const findRoomProblem = (ip: string, live?: LiveSession): SocketRefusal | undefined => {
    if (isClosing) return 'stopping';
    const isFull =
      registry.count() + pending > limits.maxSockets ||
      registry.of('address', ip).length >= limits.maxSocketsPerAddress ||
      (live !== undefined && findCrowd(live) !== undefined);
    return isFull ? 'too_many_sockets' : undefined;
  };
  /** The open sockets of a session or a user that has as many as may be. */
  const findCrowd = (live: LiveSession): readonly Connection[] | undefined => {
    const isOpen = (connection: Connection): boolean => connection.isOpen();
    const ofSession = registry.of('session', live.id).filter(isOpen);
    const ofUser = registry.of('identity', live.identityId).filter(isOpen);
    if (ofSession.length >= limits.maxSocketsPerSession) return ofSession;
    return ofUser.length >= limits.maxSocketsPerUser ? ofUser : undefined;
  };
  /** Half-open sockets must not shut their user out: those that do not answer now are cut. */
  const makeRoom = async (live: LiveSession): Promise<void> => {
    await Promise.all((findCrowd(live) ?? []).map((connection) => connection.probe(PROBE_MS)));
  };
  /** SECURITY: whoever asks and leaves, again and again, must not pile up questions: beyond as many as sockets the oldest go. */
  const boundLeft = ({ live }: Connection): void => {
    const left = registry.of('identity', live.identityId).filter((connection) => !connection.isOpen());
    for (const connection of left.slice(0, -limits.maxSocketsPerUser)) connection.abandon();
  };

  const take = async (req: IncomingMessage, socket: Duplex, head: Buffer, ip: string): Promise<void> => {
    if (bot === undefined) return refuse(socket, ip, 'realtime_unavailable');
    const early = (await addresses.take(ip)) ? findRoomProblem(ip) : 'too_many_upgrades';
    if (early) return refuse(socket, ip, early);
    const admission = await admit(req, deps);
    if (admission.kind === 'refused') return refuse(socket, ip, admission.refusal);
    const { live, wish } = admission;
    await makeRoom(live);
    const late = findRoomProblem(ip, live);
    if (late) return refuse(socket, ip, late);
    server.handleUpgrade(req, socket, head, (ws) => {
      const connection = createConnection(ws, { live, wish, address: ip }, { ...deps, claims: deps.store.claims, bot });
      registry.add(connection);
      metrics.setOpenSockets(++openCount);
      // What ended between the look at the session and this moment was told to nobody. Where the store is away, the next look does it.
      recheck(connection, deps).catch(() => undefined);
      void connection.gone.then(() => {
        metrics.setOpenSockets(--openCount);
        boundLeft(connection);
      });
      void connection.ended.then(() => registry.delete(connection));
    });
  };

  return {
    onUpgrade: (req, socket, head) => {
      // Before anything else: a connection that breaks while it is being checked must break nothing else.
      socket.on('error', () => undefined);
      const ip = addresses.keyOf(req);
      pending++;
      take(req, socket, head, ip)
        .catch((error: unknown) => {
          refuse(
            socket,
            ip,
            (error instanceof AppError && AWAY.find((code) => code === error.code)) || 'internal',
            error,
          );
        })
        .finally(() => pending--);
    },
    close: async () => {
      isClosing = true;
      addresses.close();
      const connections = registry.all();
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ANSWER_GRACE_MS + CLOSE_GRACE_MS + LAST_WRITE_MS);
      });
      const retired = connections.map(async (connection) => {
        await connection.retire(ANSWER_GRACE_MS);
        await connection.ended;
      });
      await Promise.race([Promise.all(retired), patience]);
      clearTimeout(timer);
      // SECURITY: to the end: what is revoked meanwhile is not asked for.
      stopWatching();
    },
  };
}
