import { setTimeout as wait } from 'node:timers/promises';

import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import { signWebhook, toSigningKey, toWebhookId } from '../../core/webhook-signature.ts';
import { botError, MAX_ANSWER_BYTES, parseBotAnswer } from './answer.ts';
import type { Bot, BotMessage, BotSession, UserMessage } from './bot.ts';
import { createPlaces } from './places.ts';

/** Questions that a webhook may owe an answer to, in each process. Further ones wait for their turn, within their time limit. */
export const MAX_WEBHOOKS_IN_FLIGHT = 256;
/** The same for one user, so that one alone cannot keep the others from an answer; many together still can. */
export const MAX_WEBHOOKS_PER_USER = 2;
/** How long after a connection that was refused the one other attempt comes, in milliseconds: a restart is short. */
export const WEBHOOK_RETRY_AFTER_MS = 250;

/**
 * Failures that come before a byte of the request has left: the one time when asking again cannot ask twice. An
 * established connection never fails with these.
 */
const NOTHING_SENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'EAI_AGAIN']);

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Where the bot is. The URL may hold a credential in its query: it is in no log and no error. */
export interface WebhookBotSettings {
  readonly url: string;
  readonly secret: Secret;
}

/** What it needs besides. */
export interface WebhookBotDeps {
  readonly fetch: typeof fetch;
  readonly clock: Clock;
}

/**
 * A bot behind a URL. Each event is one signed POST (Standard Webhooks) and its answer. The time limit is the
 * caller's `signal`.
 *
 * At most once: a question that may have arrived is not sent again, since a bot that orders a taxi would order two.
 * There is no circuit breaker: what opened it would be in the hands of whoever knows a message that the bot stumbles
 * over, and everyone else would go without an answer.
 */
export function createWebhookBot({ url, secret }: WebhookBotSettings, { fetch, clock }: WebhookBotDeps): Bot {
  const key = toSigningKey(secret);
  const places = createPlaces(MAX_WEBHOOKS_IN_FLIGHT, MAX_WEBHOOKS_PER_USER);

  const post = async (id: string, body: string, signal: AbortSignal): Promise<Response> => {
    const headers = { 'content-type': 'application/json', accept: 'application/json' };
    const signed = signWebhook(key, id, clock.nowSeconds(), body);
    // SECURITY: a redirect would carry what is known of a person to a host that nobody configured.
    return fetch(url, { method: 'POST', headers: { ...headers, ...signed }, body, redirect: 'manual', signal });
  };

  const deliver = async (body: string, signal: AbortSignal): Promise<readonly BotMessage[]> => {
    const id = toWebhookId(body);
    try {
      return await readAnswer(await post(id, body, signal));
    } catch (error) {
      if (!NOTHING_SENT.has(toFailure(error))) throw error;
    }
    await wait(WEBHOOK_RETRY_AFTER_MS, undefined, { signal });
    return readAnswer(await post(id, body, signal));
  };

  const ask = async (userId: string, question: object, signal: AbortSignal): Promise<readonly BotMessage[]> => {
    try {
      const leave = await places.enter(userId, signal);
      try {
        return await deliver(JSON.stringify(question), signal);
      } finally {
        leave();
      }
    } catch (error) {
      throw signal.aborted ? botError('did not answer in time') : toBotError(error);
    }
  };

  return {
    name: 'webhook',
    onStart: ({ UserContext, ...session }, signal) =>
      ask(session.userId, { event: 'start', session, UserContext }, signal),
    onMessage: ({ UserContext, ...session }: BotSession, message: UserMessage, signal) =>
      ask(session.userId, { event: 'message', session, UserContext, message }, signal),
  };
}

async function readAnswer(response: Response): Promise<readonly BotMessage[]> {
  const { status, body } = response;
  if (status === 204) return [];
  if (status !== 200) {
    await body?.cancel();
    throw botError(`answered ${status}`);
  }
  return parseBotAnswer(await readText(body));
}

async function readText(body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    // Leaving the loop cancels what is still to come.
    if (size > MAX_ANSWER_BYTES) throw botError(`answered more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return utf8.decode(Buffer.concat(chunks));
  } catch {
    throw botError('gave an answer that is not UTF-8');
  }
}

/** The system's code of a failed request, such as `ECONNREFUSED`; empty where there is none. */
function toFailure(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : '';
}

/** The cause stays behind: it knows addresses, and perhaps the URL. */
function toBotError(error: unknown): AppError {
  return error instanceof AppError ? error : botError(`gave no answer (${toFailure(error) || 'unknown'})`);
}
