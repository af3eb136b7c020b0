import { AppError, toAppError } from '../core/errors.ts';
import type { ResetCode } from '../tunnel/codes.ts';
import { isIdempotent } from '../tunnel/fields.ts';
import { FrameError } from '../tunnel/frames.ts';
import type { Fields, RequestHead, ResponseHead, StreamHandlers, TunnelStream } from '../tunnel/messages.ts';
import type { CallerShares } from './caller-shares.ts';
import { type Call, type FindWaysDeps, findLocalWays, findOtherWays, type Ways } from './find-ways.ts';
import { toResetError } from './relay-answers.ts';
import { pickWay } from './roster.ts';
import type { Way } from './way.ts';

/** Ways that one call is tried on, at most. */
export const MAX_ATTEMPTS = 3;
/** The beginning of a body that is kept until the call is answered, to be sent again elsewhere, in bytes. */
export const REPLAY_BYTES = 65_536;

/** What becomes of a call. None is called after `onFailure`, which may come at any time. */
export interface CallHandlers {
  onResponse(head: ResponseHead): void;
  onData(chunk: Buffer): void;
  onEnd(trailers: Fields): void;
  /** Nothing, or not everything, came. */
  onFailure(error: AppError): void;
  /** The body may go on. */
  onDrain(): void;
}

/** What it takes to send calls on their way. */
export interface DispatchDeps extends FindWaysDeps {
  readonly shares: CallerShares;
}

/** A call that is under way. */
export interface DispatchedCall {
  /** Which connector it goes to, once that is known, and by what way. */
  readonly connectorId: string | undefined;
  readonly wayLabel: string | undefined;
  /** @returns false where the writer should wait for `onDrain` */
  write(chunk: Buffer): boolean;
  end(trailers: Fields): void;
  consumed(bytes: number): void;
  cancel(): void;
}

/**
 * Sends a call on its way. It is tried elsewhere where it surely was not begun, or may be repeated, as long as all of its
 * body that was sent is still at hand.
 */
export function dispatch(
  deps: DispatchDeps,
  call: Call,
  head: RequestHead,
  isBodyless: boolean,
  handlers: CallHandlers,
) {
  return new Dispatch(deps, call, head, isBodyless, handlers) satisfies DispatchedCall as DispatchedCall;
}

/** @throws AppError `head_too_large`: it is so on every way */
function openWay(way: Way, head: RequestHead, handlers: StreamHandlers, isLast: boolean): TunnelStream | undefined {
  try {
    return way.open(head, handlers, isLast);
  } catch (error) {
    throw error instanceof FrameError ? new AppError('head_too_large') : error;
  }
}

/** It is the owner of its streams, of which there is one at a time. */
class Dispatch implements DispatchedCall, StreamHandlers {
  connectorId: string | undefined;
  wayLabel: string | undefined;
  readonly #deps: DispatchDeps;
  readonly #call: Call;
  readonly #head: RequestHead;
  readonly #isBodyless: boolean;
  readonly #handlers: CallHandlers;
  #ways: readonly Way[] = [];
  readonly #tried = new Set<Way>();
  #attempts = 0;
  #stream: TunnelStream | undefined;
  /** What was written, as long as it may have to be sent again. */
  #sent: Buffer[] | undefined = [];
  #sentBytes = 0;
  #trailers: Fields | undefined;
  #isElsewhere = false;
  #isAnswered = false;
  #isOver = false;

  constructor(deps: DispatchDeps, call: Call, head: RequestHead, isBodyless: boolean, handlers: CallHandlers) {
    this.#deps = deps;
    this.#call = call;
    this.#head = head;
    this.#isBodyless = isBodyless;
    this.#handlers = handlers;
    try {
      const local = findLocalWays(deps, call);
      if (local !== undefined) this.#begin(local);
      else void this.#beginElsewhere();
    } catch (error) {
      // Its owner does not have this object yet.
      queueMicrotask(() => this.#fail(toAppError(error)));
    }
  }

  write(chunk: Buffer): boolean {
    if (this.#isOver) return true;
    this.#keep(chunk);
    return this.#stream?.write(chunk) ?? this.#sentBytes < REPLAY_BYTES;
  }

  end(trailers: Fields): void {
    if (this.#isOver) return;
    this.#trailers = trailers;
    this.#stream?.end(trailers);
  }

  consumed(bytes: number): void {
    this.#stream?.consumed(bytes);
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#stream === undefined) return;
    if (!this.#isAnswered) this.#deps.shares.countCancel(this.#call.caller.id);
    this.#stream.reset('cancelled');
  }

  onResponse(head: ResponseHead): void {
    if (this.#isOver) return;
    this.#isAnswered = true;
    this.#sent = undefined;
    this.#handlers.onResponse(head);
  }

  onData(chunk: Buffer): void {
    if (!this.#isOver) this.#handlers.onData(chunk);
  }

  onEnd(trailers: Fields): void {
    if (!this.#isOver) this.#handlers.onEnd(trailers);
  }

  onReset(code: ResetCode): void {
    if (this.#isOver) return;
    this.#stream = undefined;
    const isUnbegun = code === 'refused';
    const isRepeatable = code === 'lost' && isIdempotent(this.#call.method) && this.#isBodyless;
    if (!this.#isAnswered && this.#sent !== undefined && (isUnbegun || isRepeatable)) {
      if (this.#tryNext() || this.#tryNewcomers()) return;
      if (!this.#isElsewhere) {
        void this.#beginElsewhere();
        return;
      }
    }
    this.#fail(toResetError(code, this.#call.host));
  }

  onDrain(): void {
    if (!this.#isOver) this.#handlers.onDrain();
  }

  /** Through other nodes: where no agent is here, or those that are here are leaving. */
  async #beginElsewhere(): Promise<void> {
    this.#isElsewhere = true;
    try {
      const remote = await findOtherWays(this.#deps, this.#call, this.#attempts > 0);
      if (!this.#isOver) this.#begin(remote);
    } catch (error) {
      this.#fail(toAppError(error));
    }
  }

  #begin({ connectorId, ways }: Ways): void {
    this.connectorId = connectorId;
    this.#ways = ways;
    if (this.#tryNext()) return;
    if (this.#isElsewhere) queueMicrotask(() => this.#fail(toResetError('refused', this.#call.host)));
    else void this.#beginElsewhere();
  }

  /** @returns false where no way is left */
  #tryNext(): boolean {
    while (this.#attempts < MAX_ATTEMPTS) {
      const way = pickWay(this.#ways);
      if (way === undefined) return false;
      this.#attempts++;
      this.#tried.add(way);
      this.#ways = this.#ways.length === 1 ? [] : this.#ways.filter((one) => one !== way);
      const stream = openWay(way, this.#head, this, this.#isBodyless);
      if (stream === undefined) continue;
      this.wayLabel = way.label;
      this.#stream = stream;
      this.#resend(stream);
      return true;
    }
    return false;
  }

  /** Tries the agents that have come since the call began. @returns false where no way is left */
  #tryNewcomers(): boolean {
    if (this.#isOver || this.#isElsewhere) return false;
    try {
      const here = findLocalWays(this.#deps, this.#call);
      if (here?.connectorId !== this.connectorId) return false;
      this.#ways = here?.ways.filter((way) => !this.#tried.has(way)) ?? [];
    } catch (error) {
      this.#fail(toAppError(error));
      return true;
    }
    return this.#tryNext();
  }

  #keep(chunk: Buffer): void {
    if (this.#sent === undefined) return;
    this.#sentBytes += chunk.length;
    if (this.#stream !== undefined && this.#sentBytes > REPLAY_BYTES) this.#sent = undefined;
    else this.#sent.push(chunk);
  }

  #resend(stream: TunnelStream): void {
    if (this.#isBodyless) return;
    let hasRoom = true;
    for (const chunk of this.#sent ?? []) hasRoom = stream.write(chunk);
    if (this.#sentBytes > REPLAY_BYTES) this.#sent = undefined;
    if (this.#trailers !== undefined) stream.end(this.#trailers);
    else if (hasRoom && this.#sentBytes > 0) queueMicrotask(() => this.#handlers.onDrain());
  }

  #fail(error: AppError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handlers.onFailure(error);
  }
}
