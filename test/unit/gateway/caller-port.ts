import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import express from 'express';
import { pino } from 'pino';

import { createCallerFront } from '../../../src/gateway/caller-front.ts';
import { createCallerShares } from '../../../src/gateway/caller-shares.ts';
import type { Connector } from '../../../src/gateway/connector.ts';
import type { Agent } from '../../../src/gateway/roster.ts';
import { startServer } from '../../../src/http/server.ts';
import { CRM, createFakeWay, type FakeStream, type FakeWay } from './fake-way.ts';

export const TOKEN = 'csc_gc2LOJuGuNcrFfk36D8_JiA9LjzVp_FQwKiKWXXPOJo';
export const OTHER_TOKEN = 'csc_7l0mQ1zq0pYk6Cw8v9m3b2n1x4a5s6d7f8g9h0jK1L2';
const NAMES: Readonly<Record<string, string>> = { [TOKEN]: 'cl-1', [OTHER_TOKEN]: 'cl-2' };

/** A caller port with one connector, whose one agent is a fake way. */
export interface CallerPort {
  readonly way: FakeWay;
  /** Sends bytes on a connection of its own, which ends with the port. */
  send(bytes: string, options?: { readonly allowHalfOpen?: boolean }): Socket;
  waitForStream(at?: number): Promise<FakeStream>;
  stop(): Promise<void>;
}

export async function startCallerPort({ callsPerCaller = 1_000 } = {}): Promise<CallerPort> {
  const way = createFakeWay('a', [{ ...CRM, upgrade: true }]);
  const front = createCallerFront({
    // Its time stands still: what is counted over a while is never forgotten.
    shares: createCallerShares(callsPerCaller, () => 1_000),
    directory: {
      findConnector: (id) => ({ id, enabled: true }) as Connector,
      listEnabled: () => ['cn-1'],
      refreshOnMiss: async () => undefined,
    },
    roster: { findByConnector: () => [way] as unknown as Agent[] },
    remote: { find: async () => [] },
    callers: {
      findCaller: (token) => {
        const id = NAMES[token];
        return id === undefined ? undefined : { id, name: id, tokenHash: '', createdAt: 0 };
      },
      refreshOnMiss: () => new Promise((resolve) => setImmediate(resolve)),
      load: async () => undefined,
      close: () => undefined,
    },
    logger: pino({ level: 'silent' }),
    countRelayed: () => undefined,
  });
  const server = await startServer(
    express(),
    { host: '127.0.0.1', port: 0 },
    {
      takeRequest: front.takeRequest,
      onUpgrade: front.takeUpgrade,
      onConnect: front.refuseConnect,
      errorField: 'X-Connector-Error',
      shutdownGraceMs: 100,
    },
  );
  const sockets: Socket[] = [];
  return {
    way,
    send: (bytes, { allowHalfOpen = false } = {}) => {
      const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen });
      sockets.push(socket.on('error', () => undefined));
      socket.write(bytes, 'latin1');
      return socket;
    },
    waitForStream: async (at = 0) => {
      for (;;) {
        const stream = way.streams[at];
        if (stream) return stream;
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      front.cutUpgraded();
      await server.close();
    },
  };
}

/** Longer than the gateway keeps the connection of someone who was answered and stays, in milliseconds. */
const CUT_WITHIN_MS = 6_000;

/** Says something now and then on a connection that the other end has ended, until it is cut. @throws where it is not */
export async function waitUntilCut(socket: Socket): Promise<void> {
  const deadline = performance.now() + CUT_WITHIN_MS;
  while (!socket.destroyed) {
    if (performance.now() > deadline) throw new Error('the connection is still there');
    socket.write('x');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** All that comes until the other end has ended its direction; this end stays as it is. */
export async function readToEnd(socket: Socket): Promise<string> {
  let received = '';
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
  });
  socket.resume();
  await once(socket, 'end');
  return received;
}
