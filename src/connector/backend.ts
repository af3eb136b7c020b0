import { Agent as HttpAgent, type AgentOptions, type ClientRequest, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions as HttpsOptions, request as requestHttps } from 'node:https';
import type { Socket } from 'node:net';
import { checkServerIdentity } from 'node:tls';

import type { Fields } from '../tunnel/messages.ts';
import { createResets, type Resets } from '../tunnel/resets.ts';
import type { Mapping } from './config/agent-config.ts';
import { hearLateAnswers } from './late-answers.ts';
import { toAuthority } from './proxy-connect.ts';

/** Connections to one application at one time; requests beyond them wait. */
export const MAX_BACKEND_SOCKETS = 256;
/** Connections to one application that are kept while nothing runs on them. */
export const MAX_IDLE_BACKEND_SOCKETS = 64;
/** How long a connection is kept while nothing runs on it, in milliseconds: less than what most servers grant. */
export const BACKEND_IDLE_MS = 4_000;
/** Until an application has accepted a connection, TLS included, in milliseconds. */
export const BACKEND_CONNECT_TIMEOUT_MS = 10_000;
/** The largest head of an application's answer, in bytes. */
export const MAX_BACKEND_HEAD_BYTES = 32_768;
/** Until an application answers, and between two parts of its answer, in seconds, where the mapping says nothing. */
export const DEFAULT_TIMEOUT_SECONDS = 60;

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

/** What is needed of a mapping to reach its application. */
export type RelayTarget = Pick<Mapping, 'internalHost' | 'internalPort' | 'protocol' | 'timeoutSeconds' | 'tls'>;

/** A connection that was not there in time. */
export class ConnectTimeout extends Error {
  override readonly name = 'ConnectTimeout';

  constructor() {
    super('no connection in time');
  }
}

/** One application, and the connections to it. */
export interface Backend {
  readonly timeoutMs: number;
  /** A request whose fields are sent as they are, behind `Host`. @throws where they cannot stand in a request */
  send(method: string, target: string, fields: Fields): ClientRequest;
  /** Whether a request's connection had been made. */
  isConnected(request: ClientRequest): boolean;
  /** Whether a request was sent on a connection that was kept, and nothing has come back on it. */
  isUntouched(request: ClientRequest): boolean;
  /** What becomes of answers that end with their connection. */
  readonly resets: Resets;
  /** Closes the connections on which nothing runs. */
  dropIdle(): void;
  /** No connection is kept any more; what runs goes on. */
  retire(): void;
}

const toHostField = ({ internalHost, internalPort, protocol }: RelayTarget): string => {
  const authority = toAuthority(internalHost, internalPort);
  return internalPort === DEFAULT_PORTS[protocol] ? authority.slice(0, authority.lastIndexOf(':')) : authority;
};

function createAgent({ protocol, tls }: RelayTarget): HttpAgent {
  const options: AgentOptions = {
    keepAlive: true,
    scheduling: 'lifo',
    maxSockets: MAX_BACKEND_SOCKETS,
    maxFreeSockets: MAX_IDLE_BACKEND_SOCKETS,
    timeout: BACKEND_IDLE_MS,
  };
  if (protocol === 'http') return new HttpAgent(options);
  return new HttpsAgent({
    ...options,
    // SECURITY: named here, so that no variable of the environment turns it off.
    rejectUnauthorized: true,
    minVersion: tls?.minVersion ?? 'TLSv1.2',
    ...(tls?.ca !== undefined && { ca: tls.ca }),
    ...(tls?.cert !== undefined && { cert: tls.cert }),
    ...(tls?.key !== undefined && { key: tls.key.reveal() }),
    ...(tls?.serverName !== undefined && toNamedServer(tls.serverName)),
  });
}

function toNamedServer(name: string): Pick<HttpsOptions, 'servername' | 'checkServerIdentity'> {
  return { servername: name, checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate) };
}

/** The connections to one application. */
export function createBackend(target: RelayTarget): Backend {
  const { internalHost: host, internalPort: port, protocol, timeoutSeconds = DEFAULT_TIMEOUT_SECONDS } = target;
  const agent = createAgent(target);
  const connected = new WeakSet<object>();
  const resets = createResets();
  const readBefore = new WeakMap<object, number>();
  const hostField = toHostField(target);
  const request = protocol === 'http' ? requestHttp : requestHttps;

  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => {
    const socket = connect(options, callback) as Socket;
    hearLateAnswers(socket);
    const timer = setTimeout(() => socket.destroy(new ConnectTimeout()), BACKEND_CONNECT_TIMEOUT_MS);
    socket.once(protocol === 'http' ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer);
      connected.add(socket);
    });
    socket.once('close', () => clearTimeout(timer));
    return socket;
  };
  const reuse = agent.reuseSocket.bind(agent);
  agent.reuseSocket = (socket, reusing) => {
    readBefore.set(socket, (socket as Socket).bytesRead);
    reuse(socket, reusing);
  };
  const dropIdle = (): void => {
    for (const sockets of Object.values(agent.freeSockets)) sockets?.slice().forEach((socket) => socket.destroy());
  };
  return {
    timeoutMs: timeoutSeconds * 1_000,
    send: (method, path, fields) =>
      request({
        agent,
        host,
        port,
        method,
        path,
        headers: ['Host', hostField, ...fields],
        setHost: false,
        maxHeaderSize: MAX_BACKEND_HEAD_BYTES,
      }),
    isConnected: ({ socket }) => socket !== null && connected.has(socket),
    isUntouched: ({ socket, reusedSocket }) =>
      reusedSocket && socket !== null && readBefore.get(socket) === socket.bytesRead,
    resets,
    dropIdle,
    retire: () => {
      (agent as { keepAlive?: boolean }).keepAlive = false;
      dropIdle();
    },
  };
}
