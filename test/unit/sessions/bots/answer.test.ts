import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  MAX_ANSWER_BYTES,
  MAX_ANSWER_MESSAGES,
  MAX_ANSWER_TEXT_LENGTH,
  parseBotAnswer,
} from '../../../../src/sessions/bots/answer.ts';
import { isBotError } from './bot-session.ts';

const texts = (count: number, text = 'x') =>
  JSON.stringify({ messages: Array.from({ length: count }, () => ({ text })) });
const template = (bytes: number) =>
  JSON.stringify({ messages: [{ template: { type: 't', payload: { a: 'x'.repeat(bytes - 59) } } }] });

const TAKEN = {
  'no message': '{"messages":[]}',
  'a text': '{"messages":[{"text":"hello"}]}',
  'a template, its members as they are': '{"messages":[{"template":{"type":"template","payload":{"a":[1,null,"x"]}}}]}',
  'as many messages as are allowed': texts(MAX_ANSWER_MESSAGES),
  'the longest text': texts(1, 'x'.repeat(MAX_ANSWER_TEXT_LENGTH)),
  'the largest answer': template(MAX_ANSWER_BYTES),
};

const REFUSED: Readonly<Record<string, { answer: string; says: RegExp }>> = {
  'no JSON': { answer: 'hello', says: /the bot gave an answer that is not valid JSON/ },
  nothing: { answer: '', says: /is not valid JSON/ },
  'an array': { answer: '[{"text":"x"}]', says: /is not a JSON object/ },
  'a member twice': { answer: '{"messages":[],"messages":[]}', says: /has a member twice/ },
  'too deep': { answer: `{"messages":[{"template":${'{"a":'.repeat(40)}1${'}'.repeat(40)}}]}`, says: /nested deeper/ },
  'no messages': { answer: '{}', says: /: messages$/ },
  'another member': { answer: '{"messages":[],"s3cret":1}', says: /: the answer$/ },
  'messages that are none': { answer: '{"messages":{"text":"x"}}', says: /: messages$/ },
  'a message that is a text': { answer: '{"messages":["x"]}', says: /: messages\.0$/ },
  'a message of both kinds': { answer: '{"messages":[{"text":"x","template":{"a":1}}]}', says: /: messages\.0/ },
  'a message of neither kind': { answer: '{"messages":[{"text":"x"},{}]}', says: /: messages\.1/ },
  'an empty text': { answer: '{"messages":[{"text":""}]}', says: /: messages\.0/ },
  'a text that is none': { answer: '{"messages":[{"text":1}]}', says: /: messages\.0/ },
  'a template without a type': { answer: '{"messages":[{"template":{"payload":{}}}]}', says: /: messages\.0/ },
  'a template without a payload': { answer: '{"messages":[{"template":{"type":"t"}}]}', says: /: messages\.0/ },
  'an empty template': { answer: '{"messages":[{"template":{}}]}', says: /: messages\.0/ },
  'a template that is none': { answer: '{"messages":[{"template":[1]}]}', says: /: messages\.0/ },
  'a message too many': { answer: texts(MAX_ANSWER_MESSAGES + 1), says: /: messages$/ },
  'a character too many': { answer: texts(1, 'x'.repeat(MAX_ANSWER_TEXT_LENGTH + 1)), says: /: messages\.0/ },
  'a byte too many': { answer: template(MAX_ANSWER_BYTES + 1), says: /more than 65536 bytes/ },
};

describe("a bot's answer", () => {
  for (const [name, answer] of Object.entries(TAKEN)) {
    it(`is taken: ${name}`, () => {
      assert.deepEqual({ messages: parseBotAnswer(answer) }, JSON.parse(answer));
    });
  }

  for (const [name, { answer, says }] of Object.entries(REFUSED)) {
    it(`is refused: ${name}`, () => {
      assert.throws(() => parseBotAnswer(answer), isBotError(says));
    });
  }

  it('is quoted in no error', () => {
    for (const answer of [
      '{"messages":[{"text":"s3cret","x":1}]}',
      '{"s3cret":1}',
      's3cret',
      '{"messages":["s3cret"]}',
    ]) {
      assert.throws(
        () => parseBotAnswer(answer),
        (error: Error) => !`${error.stack}`.includes('s3cret'),
      );
    }
  });
});
