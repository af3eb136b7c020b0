import type { Clock } from '../core/clock.ts';
import { createConnection } from '../tunnel/connection.ts';
import type { Closed, Hello, RequestHead, StreamHandlers, TunnelStream } from '../tunnel/messages.ts';
import { createBufferBudget } from '../tunnel/receive-window.ts';
import { toTableJson } from '../tunnel/table.ts';
import { type AgentAudit, type AgentLog, toClosedFields } from './agent-events.ts';
import type { AgentConfig } from './config/agent-config.ts';
import { dial } from './dial.ts';
import { type Link, openLink } from './link.ts';
import type { Random } from './reconnect.ts';
import { createRelay, type Relay } from './relay.ts';
import { NotNeeded, Slot, type SlotState } from './slot.ts';

/** To how many different gateway nodes one worker holds a connection, where there are so many. */
export const CONNECTIONS_PER_WORKER = 2;

/** What of the configuration a worker needs. */
export type WorkerConfig = Pick<AgentConfig, 'credentials' | 'gatewayUrls' | 'proxy' | 'mappings'>;

export interface AgentDeps {
  readonly config: WorkerConfig;
  /** Who says HELLO; the id is taken from the certificate. */
  readonly self: Omit<Hello, 'id' | 'node'>;
  readonly log: AgentLog;
  readonly audit: AgentAudit;
  readonly clock: Clock;
  /** Cryptographic, as `randomInt` is. */
  readonly random: Random;
  /** One of the connections is in another state. */
  readonly onStatusChange?: () => void;
  /** Instead of the real time between dials. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

/** One of an agent's connections, for people. */
export interface ConnectionStatus {
  readonly state: SlotState;
  readonly url?: string;
  readonly node?: string;
  /** NumericDate. */
  readonly connectedAt?: number;
  readonly roundTripMs?: number;
  readonly fault?: string;
}

export interface AgentStatus {
  readonly connections: readonly ConnectionStatus[];
  /** Requests under way. */
  readonly inFlight: number;
}

/** One worker of the connector: its connections to gateways, and what it relays. */
export interface Agent {
  /** Whether a gateway can send requests. */
  readonly isConnected: boolean;
  status(): AgentStatus;
  /** Takes what is new: at once for requests to come; new connections first where credentials or addresses changed. */
  reload(config: WorkerConfig): void;
  /** Asks a service of the gateway. @returns undefined where no gateway is connected, and nothing was sent */
  open(head: RequestHead, handlers: StreamHandlers, isLast: boolean): TunnelStream | undefined;
  /** Takes no new requests, lets those under way finish for up to `graceMs`, and ends. */
  stop(graceMs: number): Promise<void>;
}

/** What the connections are made with: where it changes they are made anew. */
const toWay = ({ credentials, gatewayUrls, proxy }: WorkerConfig): string =>
  JSON.stringify([
    credentials.key.reveal(),
    credentials.cert,
    credentials.ca,
    gatewayUrls,
    proxy,
    proxy?.password?.reveal(),
  ]);

const UNFIT_FOR_HELLO = /[^\w.:/ -]/g;

class Worker implements Agent {
  readonly #deps: AgentDeps;
  readonly #relay: Relay;
  readonly #stopping = new AbortController();
  readonly #budget = createBufferBudget();
  readonly #links = new Map<Link, number>();
  readonly #slots: readonly Slot[];
  #config: WorkerConfig;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
    this.#config = deps.config;
    const { audit } = deps;
    this.#relay = createRelay(deps.config.mappings, {
      record: (record) => audit.request(record),
      canRecord: () => audit.canRecord(),
    });
    const { log, random, sleep, onStatusChange } = deps;
    const slotDeps = {
      url: (attempt: number): string => this.#config.gatewayUrls[attempt % this.#config.gatewayUrls.length] ?? '',
      open: (url: string, slot: Slot, signal: AbortSignal) => this.#open(url, slot, signal),
      onLink: (link: Link) => this.#onLink(link),
      log,
      random,
      ...(sleep !== undefined && { sleep }),
      ...(onStatusChange !== undefined && { onChange: onStatusChange }),
    };
    // Workers begin at different addresses, so that they do not all lean on the first one.
    this.#slots = Array.from(
      { length: CONNECTIONS_PER_WORKER },
      (_, at) => new Slot(slotDeps, this.#stopping.signal, deps.self.worker + at),
    );
    for (const slot of this.#slots) {
      slot.run().catch((error: unknown) => log.error('a connection is given up', { detail: String(error) }));
    }
  }

  get isConnected(): boolean {
    return this.#slots.some(({ link }) => link?.connection.isOpen === true);
  }

  status(): AgentStatus {
    const connections = this.#slots.map(({ state, link, fault }): ConnectionStatus => {
      const connectedAt = link === undefined ? undefined : this.#links.get(link);
      return {
        state,
        ...(link !== undefined && { url: link.url, node: link.node }),
        ...(connectedAt !== undefined && { connectedAt }),
        ...(link?.connection.roundTripMs !== undefined && { roundTripMs: link.connection.roundTripMs }),
        ...(fault !== undefined && { fault }),
      };
    });
    return { connections, inFlight: this.#relay.inFlight };
  }

  reload(config: WorkerConfig): void {
    const isOtherWay = toWay(config) !== toWay(this.#config);
    this.#config = config;
    this.#relay.update(config.mappings);
    const table = toTableJson(this.#relay.rules);
    for (const link of this.#links.keys()) link.connection.sendTable(table);
    if (isOtherWay) this.#slots.forEach((slot) => slot.renew());
  }

  open(head: RequestHead, handlers: StreamHandlers, isLast: boolean): TunnelStream | undefined {
    for (const { link } of this.#slots) {
      const stream = link?.connection.open(head, handlers, isLast);
      if (stream !== undefined) return stream;
    }
    return undefined;
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    const links = [...this.#links.keys()];
    for (const { connection } of links) connection.drain(graceMs);
    await Promise.all(links.map(({ closed }) => closed));
    this.#relay.close();
  }

  async #open(url: string, slot: Slot, signal: AbortSignal): Promise<Link> {
    const { credentials, proxy } = this.#config;
    const dialled = await dial({ url, credentials, signal, ...(proxy !== undefined && { proxy }) });
    const { socket, node } = dialled;
    const cut = (): void => void socket.destroy();
    signal.addEventListener('abort', cut, { once: true });
    try {
      // By its certificate, before HELLO: to a gateway, a second HELLO of a worker is the return of the first.
      if (node !== undefined) this.#claim(node, slot);
      const link = await openLink({
        url,
        dialled,
        hello: this.#toHello(credentials.connectorId),
        connect: (given, handlers) =>
          createConnection({ role: 'agent', socket: given, handlers, budget: this.#budget }),
        onStream: (stream, head, isLast, from) => this.#relay.take(stream, head, isLast, from),
      });
      if (node === undefined) this.#claim(link.node, slot);
      return link;
    } catch (error) {
      cut();
      throw error;
    } finally {
      signal.removeEventListener('abort', cut);
    }
  }

  #toHello(id: string): Hello {
    const { hostname, version, instance, worker } = this.#deps.self;
    const shown = hostname.replace(UNFIT_FOR_HELLO, '-').slice(0, 128);
    return { id, instance, worker, version, hostname: shown === '' ? '-' : shown };
  }

  /** Has `slot` hold the node. @throws NotNeeded where another one does, or where the node is being left */
  #claim(node: string, slot: Slot): void {
    for (const other of this.#slots) {
      const { link, claimed } = other;
      if (other !== slot && claimed === node) throw new NotNeeded(false);
      if (link === undefined || link.node !== node || !this.#links.has(link)) continue;
      if (!link.connection.isOpen) throw new NotNeeded(true);
      if (other !== slot) throw new NotNeeded(false);
    }
    slot.claimed = node;
  }

  #onLink(link: Link): void {
    const { log, audit, clock } = this.#deps;
    const { url, node, connection } = link;
    this.#links.set(link, clock.nowSeconds());
    connection.sendTable(toTableJson(this.#relay.rules));
    log.info('connected to the gateway', { url, node });
    audit.connection({ act: 'connected', url, node });
    void link.closed.then((closed) => this.#onClosed(link, closed));
  }

  #onClosed(link: Link, closed: Closed): void {
    const { log, audit } = this.#deps;
    const { url, node } = link;
    this.#links.delete(link);
    const fields = { url, node, ...toClosedFields(closed) };
    if (closed.code === 'drain') log.info('the connection to the gateway has ended', fields);
    else log.warn('the connection to the gateway is lost', fields);
    audit.connection({ act: 'closed', url, node, code: closed.code });
  }
}

/** Starts a worker: it connects, and stays connected until it is stopped. */
export const startAgent = (deps: AgentDeps): Agent => new Worker(deps);
