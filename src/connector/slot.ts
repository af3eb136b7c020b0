import { setTimeout as wait } from 'node:timers/promises';

import type { Closed } from '../tunnel/messages.ts';
import { type AgentLog, toClosedFields } from './agent-events.ts';
import { DialError } from './dial-error.ts';
import { type Link, Refused } from './link.ts';
import { type Random, toFailures, toReconnectDelayMs, toSpareDelayMs } from './reconnect.ts';

/** How long the requests of a connection that is left may go on, in milliseconds. */
export const LEAVE_GRACE_MS = 60_000;
/** So many failures are assumed at least where waiting is all that helps: the longest wait. */
const HOPELESS = 5;
/** So many at most while the only gateway is about to start anew. */
const SOON_BACK = 2;

/** A dial that led to a node that another connection of this agent holds, or that is leaving. */
export class NotNeeded extends Error {
  override readonly name = 'NotNeeded';
  readonly isLeaving: boolean;

  constructor(isLeaving: boolean) {
    super(isLeaving ? 'the gateway node is leaving' : 'there is a connection to this gateway node already');
    this.isLeaving = isLeaving;
  }
}

/** What a slot does at the moment. `spare`: every dial leads to a node that is held already. */
export type SlotState = 'connecting' | 'connected' | 'waiting' | 'spare';

export interface SlotDeps {
  /** Where to dial next. */
  url(attempt: number): string;
  /** Dials and says HELLO. @throws DialError, Refused, NotNeeded */
  open(url: string, slot: Slot, signal: AbortSignal): Promise<Link>;
  readonly log: AgentLog;
  readonly random: Random;
  /** Resolves after so many milliseconds, rejects when the signal is aborted. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>;
  onLink(link: Link): void;
  /** Its state is another one. */
  onChange?(): void;
}

/** One of the connections that an agent holds: it dials, holds, and dials again, until it is stopped. */
export class Slot {
  link: Link | undefined;
  /** The node that a dial has led to, until there is a link. */
  claimed: string | undefined;
  /** Why there is no connection. */
  fault: string | undefined;
  #state: SlotState = 'connecting';
  readonly #deps: SlotDeps;
  readonly #stopped: AbortSignal;
  #awake = new AbortController();
  #attempt: number;
  #failures = 0;
  #spareTries = 0;

  /** @param first with which of the gateway's addresses to begin */
  constructor(deps: SlotDeps, stopped: AbortSignal, first: number) {
    this.#deps = deps;
    this.#stopped = stopped;
    this.#attempt = first;
  }

  get state(): SlotState {
    return this.#state;
  }

  set state(next: SlotState) {
    if (next === this.#state) return;
    this.#state = next;
    this.#deps.onChange?.();
  }

  /** Runs until it is stopped. */
  async run(): Promise<void> {
    for (;;) {
      const former = this.link;
      const link = await this.#connect();
      if (link === undefined) return;
      // The new one is there: only now is the old one left.
      former?.connection.drain(LEAVE_GRACE_MS);
      this.link = link;
      this.claimed = undefined;
      this.state = 'connected';
      this.fault = undefined;
      this.#deps.onLink(link);
      const reason = await link.leaving;
      if (this.#stopped.aborted) return;
      this.state = 'connecting';
      if (reason === 'closed') await this.#mourn(link);
      else if (reason === 'draining') await this.#waitToDial(toReconnectDelayMs(0, this.#deps.random));
    }
  }

  /** Dials anew at once, with what is right now; the old connection is left when the new one is there. */
  renew(): void {
    this.#failures = 0;
    this.#spareTries = 0;
    this.link?.renew();
    this.#awake.abort();
  }

  async #mourn(link: Link): Promise<void> {
    const closed = await link.closed;
    this.link = undefined;
    this.fault = closed.detail;
    this.#failures = toFailures(this.#failures, performance.now() - link.connectedAtMs) - 1;
    await this.#backOff(closed);
  }

  /** @returns undefined when it was stopped */
  async #connect(): Promise<Link | undefined> {
    while (!this.#stopped.aborted) {
      const url = this.#deps.url(this.#attempt++);
      try {
        this.state = 'connecting';
        const link = await this.#deps.open(url, this, this.#stopped);
        this.#spareTries = 0;
        return link;
      } catch (error) {
        this.claimed = undefined;
        if (this.#stopped.aborted) break;
        await this.#takeFailure(error, url);
      }
    }
    return undefined;
  }

  async #takeFailure(error: unknown, url: string): Promise<void> {
    if (error instanceof NotNeeded && !error.isLeaving) {
      this.state = 'spare';
      this.fault = undefined;
      await this.#sleep(toSpareDelayMs(this.#spareTries++, this.#deps.random));
      return;
    }
    this.fault = error instanceof Error ? error.message : String(error);
    if (error instanceof Refused) {
      this.#deps.log.error('the gateway refused the connection', { url, ...toClosedFields(error.closed) });
      await this.#backOff(error.closed);
    } else if (error instanceof NotNeeded) {
      this.#failures = Math.min(this.#failures, SOON_BACK);
      await this.#backOff();
    } else {
      const fault = error instanceof DialError ? error.fault : 'internal';
      this.#deps.log.error('no connection to the gateway', { url, fault, detail: this.fault });
      await this.#backOff();
    }
  }

  async #backOff(closed?: Closed): Promise<void> {
    if (closed?.code === 'unauthorized') this.#failures = Math.max(this.#failures, HOPELESS);
    const ms = toReconnectDelayMs(this.#failures++, this.#deps.random, closed?.retryAfterMs);
    this.state = 'waiting';
    await this.#waitToDial(ms);
  }

  async #waitToDial(ms: number): Promise<void> {
    this.#deps.log.debug('waits before the next dial', { ms });
    await this.#sleep(ms);
  }

  async #sleep(ms: number): Promise<void> {
    this.#awake = new AbortController();
    const signal = AbortSignal.any([this.#awake.signal, this.#stopped]);
    const sleep = this.#deps.sleep ?? ((delayMs, stop) => wait(delayMs, undefined, { signal: stop }));
    // Woken up or stopped: either way the wait is over.
    await sleep(ms, signal).catch(() => undefined);
  }
}
