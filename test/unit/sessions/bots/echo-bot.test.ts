import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { BotMessage } from '../../../../src/sessions/bots/bot.ts';
import { MAX_ANSWER_BYTES, MAX_ANSWER_TEXT_LENGTH, parseBotAnswer } from '../../../../src/sessions/bots/answer.ts';
import { createEchoBot } from '../../../../src/sessions/bots/echo-bot.ts';
import { createBotSession } from './bot-session.ts';

const bot = createEchoBot();
const signal = new AbortController().signal;
const names = (count: number, length: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`${index}`.padEnd(length, 'n'), 'v4lue']));

/** What it says, as one text; that it is a good answer is checked on the way. */
function toText(messages: readonly BotMessage[]): string {
  const json = JSON.stringify({ messages });
  assert.deepEqual(parseBotAnswer(json), messages);
  return messages.map((message) => ('text' in message ? message.text : '')).join('\n');
}

describe('the echo bot', () => {
  it('greets, says that it is the sandbox, and offers two replies', async () => {
    const messages = (await bot.onStart?.(createBotSession(), signal)) ?? [];
    assert.match(toText(messages), /sandbox.+You are a known user, in conversation 0f8fad5b\./);
    const [, offer] = messages;
    assert.ok(offer && 'template' in offer);
    assert.equal(offer.template['type'], 'template');
    const payload = offer.template['payload'] as Record<string, unknown>;
    assert.equal(payload['template_type'], 'quick_replies');
    assert.equal(typeof payload['text'], 'string');
    const replies = payload['quick_replies'] as Record<string, unknown>[];
    assert.equal(replies.length, 2);
    for (const reply of replies) assert.deepEqual(Object.keys(reply), ['content_type', 'title', 'payload']);
  });

  it('repeats what was said, and names what is known: signed and unsigned apart, no value', async () => {
    const text = toText(await bot.onMessage(createBotSession(), { id: '1', text: 'hello there' }, signal));
    assert.match(text, /^You said: hello there$/m);
    assert.match(text, /^Signed: privateClaims tier; secureCustomData branch\.$/m);
    assert.match(text, /^Not signed.*: customData page\.$/m);
    assert.match(text, /sandbox/);
    assert.doesNotMatch(text, /-value|alice|session-1|u-1|cs-1|-d9cb-/);
  });

  it('tells an anonymous user, and what a button carries', async () => {
    const session = createBotSession({
      isAnonymous: true,
      UserContext: { privateClaims: {}, secureCustomData: {}, customData: {} },
    });
    const text = toText(await bot.onMessage(session, { id: '1', text: 'Yes', payload: 'order-1' }, signal));
    assert.match(text, /^You said: Yes \(order-1\)$/m);
    assert.match(text, /an anonymous user/);
    assert.match(text, /privateClaims none; secureCustomData none/);
    assert.match(toText(await bot.onMessage(session, { id: '1', text: 'Yes', payload: 'Yes' }, signal)), /: Yes$/m);
  });

  it('stays within the limits of an answer, whatever there is', async () => {
    const many = { privateClaims: names(25, 200), secureCustomData: names(900, 50), customData: names(21, 4_000) };
    const session = createBotSession({ UserContext: many });
    const messages = await bot.onMessage(session, { id: '1', text: '😀'.repeat(100_000) }, signal);
    const text = toText(messages);
    assert.match(text, /… and 5 more; secureCustomData .*… and 880 more\.$/m);
    assert.match(text, /… and 1 more\.$/m);
    assert.ok(Buffer.byteLength(text) < MAX_ANSWER_BYTES);
    for (const message of messages) assert.ok('text' in message && message.text.length < MAX_ANSWER_TEXT_LENGTH);
    assert.doesNotMatch(text, /v4lue/);
  });
});
