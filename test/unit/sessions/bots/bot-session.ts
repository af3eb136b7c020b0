import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

import { AppError } from '../../../../src/core/errors.ts';
import type { BotSession } from '../../../../src/sessions/bots/bot.ts';

/** With whom a bot talks in the tests; each value of the context is a word that no log may hold. */
export function createBotSession(changes: Partial<BotSession> = {}): BotSession {
  return {
    sessionId: 'session-1',
    conversationId: '0f8fad5b-d9cb-469f-a165-70867728950e',
    clientId: 'cs-1',
    botId: 'st-1',
    userId: 'u-1',
    identity: 'alice@example.com',
    isAnonymous: false,
    UserContext: {
      privateClaims: { tier: 'g0ld-value' },
      secureCustomData: { branch: 'br4nch-value' },
      customData: { page: 'p4ge-value' },
    },
    ...changes,
  };
}

/** A server on this machine that goes with its test. */
export async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Starts a plain HTTP server. @returns its URL */
export async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(t, createServer(listener))}/bot`;
}

/** Whether an error is a bot's that gave no usable answer, and says so. */
export const isBotError =
  (detail: RegExp) =>
  (error: unknown): boolean =>
    error instanceof AppError && error.code === 'upstream_unavailable' && detail.test(error.detail ?? '');
