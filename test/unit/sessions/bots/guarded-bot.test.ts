import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

import type { Bot, BotMessage } from '../../../../src/sessions/bots/bot.ts';
import { createGuardedBot, findBotProblem } from '../../../../src/sessions/bots/guarded-bot.ts';
import { createBotSession, isBotError } from './bot-session.ts';

const MESSAGE = { id: '1', text: 'hello' };
const none = new AbortController().signal;
const session = createBotSession();

/** A bot that answers whatever `onMessage` returns. */
const createBot = (onMessage: () => unknown): Bot =>
  createGuardedBot({ name: 'test', onMessage: onMessage as () => Promise<readonly BotMessage[]> });
const ring: unknown[] = [];
ring.push({ template: { ring } });

const NONSENSE: Readonly<Record<string, { answer: unknown; says: RegExp }>> = {
  'a text': { answer: 'hello', says: /: messages$/ },
  'a message outside an array': { answer: { text: 'hello' }, says: /: messages$/ },
  'a message of another form': { answer: [{ message: 'hello' }], says: /: messages\.0/ },
  'something circular': { answer: ring, says: /no form/ },
  'a big integer': { answer: [{ template: { a: 1n } }], says: /no form/ },
  'a getter that throws': {
    answer: [
      {
        get text() {
          throw new Error('s3cret');
        },
      },
    ],
    says: /no form/,
  },
  'too much': { answer: [{ template: { a: 'x'.repeat(70_000) } }], says: /more than/ },
};

describe('a guarded bot', () => {
  it('answers what the bot answers, as a copy', async () => {
    const answer = [{ text: 'hello' }, { template: { type: 'template', payload: { a: [1] } } }];
    const given = await createBot(() => answer).onMessage(session, MESSAGE, none);
    assert.deepEqual(given, answer);
    assert.notEqual(given[0], answer[0]);
  });

  it('hands on who asks and what, keeps `this`, and takes an answer that is no promise', async () => {
    const seen: unknown[] = [];
    const bot = createGuardedBot({
      name: 'test',
      onStart(...args: unknown[]) {
        seen.push(this === undefined, ...args);
        return [{ text: 'start' }] as unknown as Promise<readonly BotMessage[]>;
      },
      onMessage: async (...args) => void seen.push(...args) as unknown as readonly BotMessage[],
    });
    assert.deepEqual(await bot.onStart?.(session, none), [{ text: 'start' }]);
    assert.deepEqual(await bot.onMessage(session, MESSAGE, none), []);
    assert.deepEqual(seen, [false, session, none, session, MESSAGE, none]);
  });

  it('has a start only where the bot has one', () => {
    assert.equal(createBot(() => []).onStart, undefined);
  });

  it('rejects with what the bot throws, at once or later', async () => {
    const failure = new Error('of the bot');
    for (const fail of [
      () => {
        throw failure;
      },
      () => Promise.reject(failure),
    ]) {
      await assert.rejects(createBot(fail).onMessage(session, MESSAGE, none), failure);
    }
  });

  for (const [name, { answer, says }] of Object.entries(NONSENSE)) {
    it(`refuses ${name}`, async () => {
      await assert.rejects(createBot(() => answer).onMessage(session, MESSAGE, none), isBotError(says));
    });
  }

  it('waits no longer than the signal, and survives what comes after', async () => {
    const control = new AbortController();
    let fail: (error: Error) => void = () => undefined;
    const bot = createBot(() => new Promise((_, reject) => (fail = reject)));
    const answer = bot.onMessage(session, MESSAGE, control.signal);
    control.abort();
    await assert.rejects(answer, isBotError(/did not answer in time/));
    // An unhandled rejection would end this process.
    fail(new Error('late'));
    await wait(1);
    let isCalled = false;
    const late = createBot(() => (isCalled = true)).onMessage(session, MESSAGE, control.signal);
    await assert.rejects(late, isBotError(/did not answer in time/));
    assert.equal(isCalled, false);
  });
});

describe('what is no bot', () => {
  const onMessage = async () => [];
  const PROBLEMS: Readonly<Record<string, { value: unknown; problem: string | undefined }>> = {
    'a bot': { value: { name: 'a', onMessage }, problem: undefined },
    'a bot with a start': { value: { name: 'a', onMessage, onStart: onMessage }, problem: undefined },
    nothing: { value: undefined, problem: 'is no object' },
    null: { value: null, problem: 'is no object' },
    'a function': { value: onMessage, problem: 'is no object' },
    'no name': { value: { onMessage }, problem: 'has no name' },
    'an empty name': { value: { name: '', onMessage }, problem: 'has no name' },
    'no onMessage': { value: { name: 'a' }, problem: 'has no function onMessage(session, message, signal)' },
    'another onStart': { value: { name: 'a', onMessage, onStart: 1 }, problem: 'has an onStart that is no function' },
  };
  for (const [name, { value, problem }] of Object.entries(PROBLEMS)) {
    it(`is told: ${name}`, () => assert.equal(findBotProblem(value), problem));
  }
});
