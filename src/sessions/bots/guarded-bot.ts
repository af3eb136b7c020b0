import { botError, parseBotAnswer } from './answer.ts';
import type { Bot, BotMessage } from './bot.ts';

/** Why a value is no {@link Bot}, as the rest of a sentence about it. @returns undefined where it is one */
export function findBotProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'is no object';
  const { name, onStart, onMessage } = value as Partial<Record<keyof Bot, unknown>>;
  if (typeof name !== 'string' || name === '') return 'has no name';
  if (typeof onMessage !== 'function') return 'has no function onMessage(session, message, signal)';
  if (onStart !== undefined && typeof onStart !== 'function') return 'has an onStart that is no function';
  return undefined;
}

/**
 * A bot of unknown quality, made as strict as one over the network: what it throws becomes a rejection, what it
 * answers is checked and copied, and `signal` ends the wait even where the bot does not look at it. A loop that never
 * gives way stops the process all the same: a module is trusted code.
 */
export function createGuardedBot(bot: Bot): Bot {
  const { name } = bot;
  return {
    name,
    ...(bot.onStart && {
      onStart: (session, signal) => answerOf(async () => bot.onStart?.(session, signal), signal),
    }),
    onMessage: (session, message, signal) => answerOf(async () => bot.onMessage(session, message, signal), signal),
  };
}

/** Nothing, for a bot that returned nothing: it has nothing to say. */
async function answerOf(call: () => Promise<unknown>, signal: AbortSignal): Promise<readonly BotMessage[]> {
  const messages = (await untilAborted(call, signal)) ?? [];
  return parseBotAnswer(toJson(messages));
}

function toJson(messages: unknown): string {
  try {
    return JSON.stringify({ messages });
  } catch {
    throw botError('answered something that JSON has no form for');
  }
}

async function untilAborted(call: () => Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  if (signal.aborted) throw botError('did not answer in time');
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(botError('did not answer in time'));
    signal.addEventListener('abort', stop, { once: true });
    // What comes after the signal is nobody's any more; it is taken all the same, or Node would end the process.
    void call()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', stop));
  });
}
