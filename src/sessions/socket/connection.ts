import type { RawData, WebSocket } from 'ws';

import type { Logger } from '../../http/access-log.ts';
import type { Metrics } from '../../http/metrics.ts';
import type { Bot } from '../bots/bot.ts';
import type { History } from '../history.ts';
import type { BearerSessions, LiveSession } from '../live-session.ts';
import type { SocketWish } from '../start.ts';
import { createDialog } from './dialog.ts';
import { parseFrame, toAck, toErrorFrame, type FrameFault } from './frames.ts';
import {
  CLOSE_CODES,
  CLOSE_GRACE_MS,
  type CloseCode,
  FORGIVEN_EVERY_SECONDS,
  FRAME_BURST,
  FRAMES_PER_SECOND,
  MAX_FAULTS,
  MAX_WAITING_MESSAGES,
  type SocketLimits,
} from './limits.ts';
import { createTokenBucket } from './token-bucket.ts';

/** One open socket. */
export interface Connection {
  /** Whose it is, as it was when it opened. */
  readonly live: LiveSession;
  readonly wish: SocketWish;
  /** By what its caller is counted. */
  readonly address: string;
  /** What waits to be sent, in bytes. */
  unsentBytes(): number;
  /** Ends it in good order, and cuts it where the client does not answer to that. Further calls do nothing. */
  close(code: CloseCode, reason: string): void;
  /** Pings it; cuts it where the last ping was not answered. */
  checkAlive(): void;
  /** Resolves when the socket is gone and nothing is under way any more. */
  readonly ended: Promise<void>;
}

export interface ConnectionDeps {
  readonly bot: Bot;
  readonly botTimeoutMs: number;
  readonly bearers: Pick<BearerSessions, 'openContext'>;
  readonly history: History;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'countSocketFrame'>;
  readonly limits: Pick<SocketLimits, 'maxUnsentBytes'>;
}

/** For whom a socket is opened, and from where. */
export type Opening = Pick<Connection, 'live' | 'wish' | 'address'>;

const nowMs = (): number => performance.now();

/** Talks with one client. No content, no token and no nonce is ever logged. */
export function createConnection(ws: WebSocket, opening: Opening, deps: ConnectionDeps): Connection {
  const { live, wish } = opening;
  const { logger, metrics, limits } = deps;
  const log = { sessionId: live.id, conversationId: live.conversation, clientId: live.session.clientId };
  const openedAtMs = nowMs();
  const closed = new AbortController();
  const frames = createTokenBucket(FRAMES_PER_SECOND, FRAME_BURST, nowMs);
  const faults = createTokenBucket(1 / FORGIVEN_EVERY_SECONDS, MAX_FAULTS, nowMs);
  const counts = { in: 0, out: 0 };
  let isAlive = true;
  let sentCode: CloseCode | undefined;

  const close: Connection['close'] = (code, reason) => {
    if (sentCode !== undefined) return;
    sentCode = code;
    closed.abort();
    ws.close(code, reason);
    // A client whose answer is not read, or that never answers, must not keep the connection.
    ws.resume();
    const cut = setTimeout(() => ws.terminate(), CLOSE_GRACE_MS);
    ws.once('close', () => clearTimeout(cut));
  };
  const checkRoom = (): boolean => {
    if (ws.bufferedAmount > limits.maxUnsentBytes) close(CLOSE_CODES.tryLater, 'the client does not read');
    return sentCode === undefined && ws.readyState === ws.OPEN;
  };
  const send = (frame: object): void => {
    if (!checkRoom()) return;
    counts.out++;
    metrics.countSocketFrame('out');
    ws.send(JSON.stringify(frame));
  };
  const dialog = createDialog({
    ...deps,
    live,
    botId: wish.botId,
    send,
    closed: closed.signal,
    log,
    onTurnDone: resume,
  });

  /** @returns false where the frame is dropped */
  function takeToken(): boolean {
    isAlive = true;
    if (sentCode !== undefined) return false;
    if (frames.take()) return true;
    blame('too_fast');
    return false;
  }
  function blame(fault: FrameFault, replyTo?: string | number): void {
    if (faults.take()) send(toErrorFrame(fault, replyTo));
    else close(CLOSE_CODES.policy, 'too many frames that were too fast or wrong');
  }
  function resume(): void {
    if (dialog.waiting() < MAX_WAITING_MESSAGES) ws.resume();
  }
  const onFrame = (data: RawData, isBinary: boolean): void => {
    counts.in++;
    metrics.countSocketFrame('in');
    if (!takeToken()) return;
    if (isBinary) {
      close(CLOSE_CODES.unsupported, 'send text');
      return;
    }
    const frame = parseFrame((data as Buffer).toString());
    if (frame.kind === 'ping') send({ type: 'pong' });
    else if (frame.kind === 'wrong') blame(frame.fault, frame.replyTo);
    else if (frame.kind === 'message') {
      send(toAck(frame.replyTo));
      dialog.say(frame.message);
      // What the client sends now waits in its own buffers: a person does not say nine things at once.
      if (dialog.waiting() >= MAX_WAITING_MESSAGES) ws.pause();
    }
  };

  ws.on('message', (data, isBinary) => {
    try {
      onFrame(data, isBinary);
    } catch (error) {
      // One socket's failure must not take the process with it.
      logger.error({ ...log, cause: error instanceof Error ? error.stack : undefined }, 'socket failed');
      close(CLOSE_CODES.internal, 'internal error');
    }
  });
  ws.on('pong', () => void takeToken());
  // Answered here and not by `ws`, which would go on for a client that pings and never reads.
  ws.on('ping', (data: Buffer) => {
    if (takeToken() && checkRoom()) ws.pong(data);
  });
  // What the other side did to the protocol; `ws` closes with the right code itself.
  ws.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => {
    ws.once('close', (code: number) => {
      closed.abort();
      const seconds = Math.round((nowMs() - openedAtMs) / 100) / 10;
      // The side that closed first says why; the other one only repeats it.
      logger.info(
        { ...log, closeCode: sentCode ?? code, seconds, framesIn: counts.in, framesOut: counts.out },
        'socket closed',
      );
      void dialog.idle().then(resolve);
    });
  });

  logger.info(log, 'socket opened');
  send({ type: 'ready' });
  dialog.begin();
  return {
    ...opening,
    unsentBytes: () => ws.bufferedAmount,
    close,
    ended,
    checkAlive: () => {
      if (!isAlive && !ws.isPaused) {
        ws.terminate();
        return;
      }
      // A socket that is not read from cannot show that it lives.
      isAlive = ws.isPaused;
      if (checkRoom()) ws.ping();
    },
  };
}
