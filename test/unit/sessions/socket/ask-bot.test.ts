import assert from 'node:assert/strict';
import { test } from 'node:test';

import { askBot, BotSilence } from '../../../../src/sessions/socket/ask-bot.ts';

const isSilence = (isTimeout: boolean) => (error: unknown) =>
  error instanceof BotSilence && error.isTimeout === isTimeout;

test('an answer in time', async () => {
  const closed = new AbortController();
  assert.deepEqual(await askBot(() => Promise.resolve([{ text: 'a' }]), 1_000, closed.signal), [{ text: 'a' }]);
});

test('a bot that throws before it promises anything', async () => {
  const call = (): never => {
    throw new TypeError('at once');
  };
  await assert.rejects(askBot(call, 1_000, new AbortController().signal), TypeError);
});

test('a bot that never answers: its signal is aborted, and the wait is over', async () => {
  let signal: AbortSignal | undefined;
  const call = (given: AbortSignal): Promise<never> => {
    signal = given;
    return new Promise(() => undefined);
  };
  await assert.rejects(askBot(call, 20, new AbortController().signal), isSilence(true));
  assert.equal(signal?.aborted, true);
});

test('a socket that closes: nothing is waited for, and no timer is left', async () => {
  const closed = new AbortController();
  const asked = askBot(() => new Promise(() => undefined), 60_000, closed.signal);
  closed.abort();
  await assert.rejects(asked, isSilence(false));
  assert.ok(!process.getActiveResourcesInfo().includes('Timeout'));
});

test('a socket that is closed already: the bot is not called', async () => {
  let calls = 0;
  const call = (): Promise<never[]> => Promise.resolve([]).finally(() => calls++);
  await assert.rejects(askBot(call, 1_000, AbortSignal.abort()), isSilence(false));
  assert.equal(calls, 0);
});

test('a rejection after the time is over ends nothing', async () => {
  const call = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => setImmediate(() => reject(new Error('late'))), { once: true });
    });
  await assert.rejects(askBot(call, 10, new AbortController().signal), isSilence(true));
  await new Promise((resolve) => {
    setTimeout(resolve, 30);
  });
});
