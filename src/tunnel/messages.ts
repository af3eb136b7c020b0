import type { CloseCode, ResetCode } from './codes.ts';

/** Header fields or trailers as they came: name, value, name, value …; order, case and duplicates kept. */
export type Fields = readonly string[];

/** What an agent may ask of its gateway. */
export const SERVICES = ['webhook', 'renewal'] as const;
export type Service = (typeof SERVICES)[number];

/** Whom a request is for: an application behind the connector, or (from the agent) a service of the gateway. */
export type Destination = { readonly host: string; readonly port: number } | { readonly service: Service };

/** The head of a request, rebuilt from parsed parts: no hop-by-hop fields, no `Host`, none that `Connection` names. */
export interface RequestHead {
  readonly to: Destination;
  readonly method: string;
  /** Path and query, the original bytes. Begins with a slash. */
  readonly target: string;
  readonly fields: Fields;
  /** An upgrade is asked for, such as `websocket`. After a 101 the stream carries raw bytes both ways. */
  readonly upgrade?: string;
  /** What the entry node calls the request, for the logs of all. */
  readonly requestId?: string;
  /** Between gateway nodes: for which connector. */
  readonly connector?: string;
}

/** The head of a response. Statuses 100 to 199 (but for 101) come before the final one. */
export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly fields: Fields;
  /** Of an error that the connector made itself: `x-connector-error`. */
  readonly connectorError?: string;
}

/** The first message of each end. */
export interface Hello {
  /** Connector id, or the node's id between gateways. */
  readonly id: string;
  /** One start of one agent on one machine: random, the same for its workers. */
  readonly instance: string;
  /** The number of the worker within its instance, from 1. */
  readonly worker: number;
  /** The software, for people. */
  readonly version: string;
  /** Host name, for people. */
  readonly hostname: string;
  /** From a gateway: what else it is called, so that an agent can tell its nodes apart. */
  readonly node?: string;
}

/** What one end does with a stream of its own or of the other end's. Every call comes from within the event loop, none after `onReset`. */
export interface StreamHandlers {
  /** The head of the answer; more than once where informational ones come first. */
  onResponse?(head: ResponseHead): void;
  /** A part of the body. It counts against the window until {@link TunnelStream.consumed} is told. */
  onData(chunk: Buffer): void;
  /** The body is complete. */
  onEnd(trailers: Fields): void;
  /**
   * The stream was cut by the other end, or with its connection: whatever came is not whole. It may come after `onEnd`: while
   * this end was not complete, or with `limit` where what came was not consumed and its memory is needed.
   */
  onReset(code: ResetCode): void;
  /** There is room again after {@link TunnelStream.write} was false. */
  onDrain?(): void;
}

/** One request with its answer. */
export interface TunnelStream {
  readonly id: number;
  /** Whether both directions are complete, or it was cut. */
  readonly isClosed: boolean;
  /** Bytes written and not sent yet. */
  readonly queuedBytes: number;
  /** Sends the head of an answer; `isLast` where there is no body. Only on streams of the other end's. */
  respond(head: ResponseHead, isLast?: boolean): void;
  /** Sends a part of the body. @returns false where the caller should wait for `onDrain` */
  write(chunk: Buffer): boolean;
  /** Completes the body. */
  end(trailers?: Fields): void;
  /** Cuts the stream; nothing is heard of it any more. */
  reset(code: ResetCode): void;
  /**
   * Hears nothing more of what the other end sends: it is dropped, and the stream is cut once this end is complete,
   * unless the other end was first.
   */
  ignoreRest(): void;
  /** Says that so many received bytes are dealt with, so that more may come. */
  consumed(bytes: number): void;
}

/** Why a connection is over. */
export interface Closed {
  readonly code: CloseCode | 'lost';
  /** One sentence for a log. */
  readonly detail: string;
  /** Whether the other end said so. */
  readonly isRemote: boolean;
  /** From the other end: not to come back before, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** What a connection tells its owner. */
export interface ConnectionHandlers {
  /** The other end's HELLO. A gateway answers by {@link TunnelConnection.welcome} once it has judged, or closes. */
  onHello(hello: Hello): void;
  /** The other end opened a stream. What is returned takes its body; without it the body is ignored. */
  onStream(stream: TunnelStream, head: RequestHead, isLast: boolean): StreamHandlers | undefined;
  /** The agent's table, the first or a new one, as JSON. */
  onTable?(json: string): void;
  /** The other end wants to leave: streams that are open go on, new ones do not begin. */
  onDraining?(closed: Closed): void;
  /** Once, and the last. */
  onClose(closed: Closed): void;
}

/** A tunnel over one socket. */
export interface TunnelConnection {
  /** The other end's HELLO, once it came. */
  readonly peer: Hello | undefined;
  /** Streams that are open, whoever opened them. */
  readonly streamCount: number;
  /** Whether streams can be opened: HELLO on both sides, not draining, not closed. */
  readonly isOpen: boolean;
  /** The last measured round trip, in milliseconds. */
  readonly roundTripMs: number | undefined;
  /** Sends HELLO: an agent at once, a gateway when it has judged. */
  welcome(hello: Hello): void;
  sendTable(json: string): void;
  /** @returns undefined where none can be opened, and nothing was sent */
  open(head: RequestHead, handlers: StreamHandlers, isLast: boolean): TunnelStream | undefined;
  /** Asks the other end to go elsewhere; closes when the last stream is over, or after `graceMs`. */
  drain(graceMs: number, retryAfterMs?: number): void;
  close(code: CloseCode, detail: string, retryAfterMs?: number): void;
}
