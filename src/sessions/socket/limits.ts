/** How long the URL of a socket may be used, once, in milliseconds; published clients are told half a minute. */
export const TICKET_LIFETIME_MS = 30_000;
/** Characters of a bot's id: it becomes part of the socket's URL. */
export const MAX_BOT_ID_LENGTH = 128;
/** Characters (UTF-16 code units) of a frame's id, which comes back in the acknowledgement. */
export const MAX_FRAME_ID_LENGTH = 128;
/** Characters (UTF-16 code units) of what a person says in one message. */
export const MAX_MESSAGE_LENGTH = 4_000;

/** One frame from a client, in bytes: a long message, and `botInfo` beside it, which clients send every time. Larger: closed with 1009. */
export const MAX_FRAME_BYTES = 32_768;
/** Pieces that a client may cut one frame into. */
export const MAX_FRAGMENTS = 64;
/** Reads from the network that one frame may arrive in. */
export const MAX_FRAME_CHUNKS = 4_096;
/** Frames of any kind from one socket, a second, in the long run. Faster: the frame is dropped, an `error` frame says so. */
export const FRAMES_PER_SECOND = 5;
/** Frames of any kind that may come at once. */
export const FRAME_BURST = 20;
/** Frames that were dropped because they were too fast or wrong, at once; one is forgiven every {@link FORGIVEN_EVERY_SECONDS}. More: closed with 1008. */
export const MAX_FAULTS = 10;
/** How soon one wrong frame is forgotten, in seconds. */
export const FORGIVEN_EVERY_SECONDS = 6;
/** Messages of one socket that wait for the bot. When there are so many, nothing more is read from it until one is answered. */
export const MAX_WAITING_MESSAGES = 8;
/** Sockets of one session: tabs. A further one takes the place of one that does not answer a ping, or is refused. */
export const MAX_SOCKETS_PER_SESSION = 8;
/** Sockets of one user, over all sessions: devices, and each with its tabs. As many that are gone may still wait for the bot. */
export const MAX_SOCKETS_PER_USER = 24;
/** Sockets of one process, half of the connections that a server takes; those that are being checked are counted. */
export const MAX_SOCKETS = 5_000;
/** What waits to be sent to one client, in bytes; a bot's answer has a quarter of it at most. More: it does not read, and is closed with 1013. */
export const MAX_UNSENT_BYTES = 262_144;
/** What waits to be sent to all clients together, in bytes. More: those that read least are closed with 1013. */
export const MAX_UNSENT_BYTES_IN_ALL = 134_217_728;
/** How often every socket is pinged, in milliseconds. One that has not answered by the next time is dead. */
export const HEARTBEAT_MS = 30_000;
/** How often every socket's session is looked up again, in milliseconds: for an ending that was not heard of. */
export const RECHECK_MS = 30_000;
/** How soon that is tried again while the store is away, in milliseconds. */
export const RECHECK_RETRY_MS = 1_000;
/** How many sessions are looked up at one time. */
export const RECHECKS_AT_ONCE = 16;
/** How often sockets are held against the end of their bearer, and what waits to be sent is summed up, in milliseconds. */
export const EXPIRY_CHECK_MS = 1_000;
/**
 * How long a greeting is kept in the history before it is sent, in milliseconds. Published clients lose what comes between
 * the open and the answer to their first question for the history, unless that answer holds it.
 */
export const GREETING_DELAY_MS = 300;
/** How often a socket whose greeting another one has asked for looks whether it is there, in milliseconds. */
export const GREETING_LOOK_MS = 250;
/** How long a socket may take to answer a ping, in milliseconds, when a further one of its user needs the place. */
export const PROBE_MS = 1_500;
/** How long questions that are out may still take when the server stops, in milliseconds; then their sockets are closed without. */
export const ANSWER_GRACE_MS = 3_500;
/** How long a client may take to answer that its socket is being closed, in milliseconds; then the connection is cut. */
export const CLOSE_GRACE_MS = 2_000;
/** How long the rest of a refused upgrade is read and thrown away, in milliseconds, so that its answer arrives. */
export const REFUSAL_GRACE_MS = 500;

/** Close codes (RFC 6455 §7.4); those from 4000 on are ours. */
export const CLOSE_CODES = {
  unsupported: 1003,
  policy: 1008,
  internal: 1011,
  restart: 1012,
  tryLater: 1013,
  /** The session is over: expired, revoked, or its user is gone. A client fetches a new assertion. */
  sessionOver: 4001,
  /** The conversation goes on elsewhere ("Drop-off"); the bearer still holds. */
  dropOff: 4002,
  /** The app or the bot is not allowed any more. */
  forbidden: 4003,
} as const;

export type CloseCode = (typeof CLOSE_CODES)[keyof typeof CLOSE_CODES];

/** The limits that an installation, or a test, may set otherwise; the constants above say what each means. */
export interface SocketLimits {
  readonly maxSockets: number;
  readonly maxSocketsPerSession: number;
  readonly maxSocketsPerUser: number;
  /** Callers behind one proxy that is not trusted have one address. */
  readonly maxSocketsPerAddress: number;
  readonly maxUnsentBytesInAll: number;
  readonly maxUnsentBytes: number;
  readonly heartbeatMs: number;
  readonly recheckMs: number;
  readonly expiryCheckMs: number;
}

export const SOCKET_LIMITS: SocketLimits = {
  maxSockets: MAX_SOCKETS,
  maxSocketsPerSession: MAX_SOCKETS_PER_SESSION,
  maxSocketsPerUser: MAX_SOCKETS_PER_USER,
  maxSocketsPerAddress: MAX_SOCKETS,
  maxUnsentBytesInAll: MAX_UNSENT_BYTES_IN_ALL,
  maxUnsentBytes: MAX_UNSENT_BYTES,
  heartbeatMs: HEARTBEAT_MS,
  recheckMs: RECHECK_MS,
  expiryCheckMs: EXPIRY_CHECK_MS,
};
