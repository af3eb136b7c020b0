import { setTimeout } from 'node:timers/promises';

import { sha256Hex } from '../../core/secret.ts';
import type { ClaimStore } from '../../stores/ports.ts';
import type { ChatMessage, History } from '../history.ts';
import type { LiveSession } from '../live-session.ts';
import { GREETING_DELAY_MS, GREETING_LOOK_MS } from './limits.ts';

export interface GreetingDeps {
  readonly live: LiveSession;
  readonly botId: string;
  /** How long the bot may take, in milliseconds. */
  readonly botTimeoutMs: number;
  readonly history: Pick<History, 'read'>;
  readonly claims: ClaimStore;
  /** Asks the bot. What it answers is there when this resolves; it never rejects. */
  readonly ask: () => Promise<readonly ChatMessage[]>;
  readonly keep: (messages: readonly ChatMessage[]) => Promise<void>;
  readonly tell: (messages: readonly ChatMessage[]) => void;
  /** Whether the person said something meanwhile. */
  readonly isOver: () => boolean;
  /** Aborted when the socket is being closed. */
  readonly closed: AbortSignal;
}

/**
 * Lets the bot greet where nothing was said yet: once, however many tabs open at the same moment and on whichever instance. One
 * of them claims the greeting and asks the bot; the others wait for what it keeps.
 * @returns what goes on meanwhile and keeps nobody from an answer, where the greeting is another socket's
 * @throws AppError where it is not known what was said: better no greeting than one in the middle
 */
export async function greet(deps: GreetingDeps): Promise<(() => Promise<void>) | undefined> {
  const { live, botId, botTimeoutMs, history, claims, ask, keep } = deps;
  if ((await history.read(live.conversation, botId)).length > 0) return undefined;
  // Longer than the bot may take: whoever comes after it finds a greeting, or a bot that had none.
  const claimMs = botTimeoutMs + GREETING_LOOK_MS;
  const name = sha256Hex(JSON.stringify([live.conversation, botId]));
  if (!(await claims.claim(`greeting:${name}`, claimMs))) return () => follow(deps, claimMs);
  const greeting = await ask();
  if (greeting.length === 0) return undefined;
  await keep(greeting);
  await tellLater(deps, greeting);
  return undefined;
}

/** Waits for the greeting that another socket has asked for. */
async function follow(deps: GreetingDeps, forMs: number): Promise<void> {
  const { live, botId, history, isOver, closed } = deps;
  for (let waitedMs = 0; waitedMs < forMs; waitedMs += GREETING_LOOK_MS) {
    if (isOver() || !(await wait(GREETING_LOOK_MS, closed))) return;
    const said = await history.read(live.conversation, botId);
    const greeting = said.filter(({ from }) => from === 'bot');
    if (greeting.length > 0 && !isOver()) return tellLater(deps, greeting);
    if (said.length > 0) return;
  }
}

/** A client that leaves meanwhile finds it in the history. */
async function tellLater({ closed, tell }: GreetingDeps, greeting: readonly ChatMessage[]): Promise<void> {
  await wait(GREETING_DELAY_MS, closed);
  tell(greeting);
}

/** @returns false where the socket was closed first */
function wait(delayMs: number, closed: AbortSignal): Promise<boolean> {
  return setTimeout(delayMs, true, { signal: closed }).catch(() => false);
}
