import { setTimeout as sleep } from 'node:timers/promises';

import type { RawData, WebSocket } from 'ws';

import type { Logger } from '../../http/access-log.ts';
import type { Metrics } from '../../http/metrics.ts';
import type { Bot } from '../bots/bot.ts';
import type { ClaimStore } from '../../stores/ports.ts';
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

/**
 * What becomes of messages that were taken when their socket is closed: all are answered into the history, only the one that
 * is out, or none.
 */
export type Rest = 'answer' | 'finish' | 'abandon';

/** One socket, and what it took. */
export interface Connection {
  /** Whose it is, as it was when it opened. */
  readonly live: LiveSession;
  readonly wish: SocketWish;
  /** By what its caller is counted. */
  readonly address: string;
  /** What waits to be sent, in bytes. */
  unsentBytes(): number;
  /** Whether the socket is open. It may be gone, and messages that it took still wait for the bot. */
  isOpen(): boolean;
  /**
   * Ends it in good order, and cuts it where the client does not answer to that; a further call only says what becomes of
   * the messages.
   */
  close(code: CloseCode, reason: string, rest?: Rest): void;
  /** Closes it for a restart, after what waits for the bot was answered or `graceMs` are over. It takes nothing meanwhile. */
  retire(graceMs: number): Promise<void>;
  /** Pings it; cuts it where the last ping was not answered. */
  checkAlive(): void;
  /** Pings it and cuts it where nothing comes within `withinMs`. Resolves then, or as soon as it shows that it lives. */
  probe(withinMs: number): Promise<void>;
  /** Gives up what waits for the bot. */
  abandon(): void;
  /** Resolves when the socket is gone. */
  readonly gone: Promise<void>;
  /** Resolves when the socket is gone and nothing is under way any more. */
  readonly ended: Promise<void>;
}

export interface ConnectionDeps {
  readonly bot: Bot;
  readonly botTimeoutMs: number;
  readonly bearers: Pick<BearerSessions, 'openContext'>;
  readonly history: History;
  readonly claims: ClaimStore;
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
  let isRetiring = false;
  /** Signs of life so far. */
  let signs = 0;
  let sentCode: CloseCode | undefined;

  const close: Connection['close'] = (code, reason, rest = 'answer') => {
    if (rest !== 'answer') dialog[rest]();
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
    return sentCode === undefined && isOpen();
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
    signs++;
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
    if (dialog.waiting() < MAX_WAITING_MESSAGES && !isRetiring) ws.resume();
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
      if (isRetiring) return;
      dialog.say(frame.message, () => send(toAck(frame.replyTo)));
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
  const gone = new Promise<void>((resolve) => {
    ws.once('close', (code: number) => {
      closed.abort();
      const seconds = Math.round((nowMs() - openedAtMs) / 100) / 10;
      // The side that closed first says why; the other one only repeats it.
      logger.info(
        { ...log, closeCode: sentCode ?? code, seconds, framesIn: counts.in, framesOut: counts.out },
        'socket closed',
      );
      resolve();
    });
  });
  const isOpen = (): boolean => ws.readyState === ws.OPEN;

  logger.info(log, 'socket opened');
  send({ type: 'ready' });
  dialog.begin();
  return {
    ...opening,
    unsentBytes: () => (ws.readyState === ws.CLOSED ? 0 : ws.bufferedAmount),
    isOpen,
    close,
    gone,
    ended: gone.then(() => dialog.idle()),
    abandon: () => dialog.abandon(),
    retire: async (graceMs) => {
      isRetiring = true;
      if (dialog.waiting() > 0) await Promise.race([dialog.idle(), sleep(graceMs, undefined, { ref: false })]);
      close(CLOSE_CODES.restart, 'the server is restarting', 'abandon');
    },
    probe: async (withinMs) => {
      // One that is not read from cannot answer: what it waits for is the bot.
      if (!checkRoom() || ws.isPaused) return;
      const before = signs;
      const shown = new Promise<void>((resolve) => {
        ws.once('pong', () => resolve());
      });
      ws.ping();
      await Promise.race([shown, gone, sleep(withinMs, undefined, { ref: false })]);
      if (signs === before) ws.terminate();
    },
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
