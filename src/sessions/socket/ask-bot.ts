import type { BotMessage } from '../bots/bot.ts';

/** A bot that did not answer in its time, or whose person's session ended meanwhile. */
export class BotSilence extends Error {
  override readonly name = 'BotSilence';
  readonly isTimeout: boolean;

  constructor(isTimeout: boolean) {
    super(isTimeout ? 'the bot did not answer in time' : 'the session is over');
    this.isTimeout = isTimeout;
  }
}

/**
 * A bot's answer, in time. The signal that `call` is handed is aborted when the time is over and when `over` is; whether
 * the bot looks at it or not, nothing waits for it any longer.
 * @throws BotSilence, and whatever the bot throws
 */
export function askBot(
  call: (signal: AbortSignal) => Promise<readonly BotMessage[]>,
  timeoutMs: number,
  over: AbortSignal,
): Promise<readonly BotMessage[]> {
  // Not AbortSignal.any: on a signal that lives as long as the socket it would leave something behind with every message.
  const controller = new AbortController();
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      clearTimeout(timer);
      over.removeEventListener('abort', onOver);
    };
    const giveUp = (isTimeout: boolean): void => {
      const silence = new BotSilence(isTimeout);
      settle();
      reject(silence);
      controller.abort(silence);
    };
    const onOver = (): void => giveUp(false);
    const timer = setTimeout(() => giveUp(true), timeoutMs);
    over.addEventListener('abort', onOver, { once: true });
    if (over.aborted) {
      onOver();
      return;
    }
    // Whatever comes after the signal is nobody's any more; it is taken all the same, or Node would end the process.
    const answer = async (): Promise<readonly BotMessage[]> => call(controller.signal);
    void answer().then(resolve, reject).finally(settle);
  });
}
