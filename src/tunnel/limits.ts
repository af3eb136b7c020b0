/** The version of the protocol, also its ALPN name. */
export const PROTOCOL = 'connector/1';

/** What stands before each payload: length (3), type (1), flags (1), stream id (4), in bytes. */
export const FRAME_HEADER_BYTES = 9;
/** The largest payload of a frame, in bytes. */
export const MAX_FRAME_BYTES = 65_536;
/** The largest head of a request or a response, and the largest trailers, in bytes of JSON. */
export const MAX_HEAD_BYTES = 32_768;
/** Header fields of a head, or trailers, at most. */
export const MAX_FIELDS = 200;
/** Informational heads (100 to 199) before the final one of a stream, at most. */
export const MAX_INFORMATIONAL_HEADS = 64;
/** A HELLO, in bytes. */
export const MAX_HELLO_BYTES = 8_192;
/** The agent's table of what it admits, in bytes of JSON over all its frames. */
export const MAX_TABLE_BYTES = 1_048_576;
/** Frames that one table comes in, at most. */
export const MAX_TABLE_FRAMES = 64;
/** Streams that are open at one time on one connection, of those that one end opened. */
export const MAX_STREAMS = 1_024;
/** What one stream may send before any of it was consumed, in bytes. Granted without being asked, so it is small. */
export const INITIAL_WINDOW_BYTES = 65_536;
/** How far the window of one stream grows with the speed and distance of the other end, in bytes. */
export const MAX_WINDOW_BYTES = 8_388_608;
/** By how much all the windows of one connection may have grown together, in bytes. */
export const MAX_CONNECTION_GROWTH_BYTES = 33_554_432;
/** The same for all the connections of one process. */
export const MAX_PROCESS_GROWTH_BYTES = 67_108_864;
/** Bytes received and not consumed in one process: above it the stream of the process that holds most is cut. */
export const MAX_PROCESS_BUFFER_BYTES = 100_663_296;
/** What each part of a body that was received and not consumed counts for beside its length, in bytes. */
export const PART_OVERHEAD_BYTES = 512;
/** What is written to a socket before it is taken, in bytes; the rest waits in its stream, and streams take turns. */
export const SEND_AHEAD_BYTES = 262_144;
/** What one stream may hold before it asks its writer to wait, in bytes. */
export const STREAM_QUEUE_BYTES = 65_536;
/** Frames that answer the other end and that it does not read, in bytes: above it the connection is closed. */
export const MAX_CONTROL_QUEUE_BYTES = 4_194_304;
/** How often a peer is asked for a sign of life, in milliseconds. Two that are missed are the end. */
export const PING_EVERY_MS = 6_000;
/** Until HELLO has come from the other end, in milliseconds. */
export const HELLO_TIMEOUT_MS = 10_000;
/** Streams that an end may cancel before they are answered, per second over ten seconds, before the connection is closed. */
export const MAX_CANCELS_PER_SECOND = 5_000;
/** Over how long cancelled streams are counted, in milliseconds. */
export const CANCEL_WINDOW_MS = 10_000;
/** How long a connection may take to say that it closes, in milliseconds, before it is cut. */
export const CLOSE_GRACE_MS = 2_000;
