import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { Ajv } from 'ajv';
import { parse } from 'yaml';

import { createAsyncapiYaml } from '../../scripts/asyncapi.ts';
import type { Bot } from '../../src/sessions/bots/bot.ts';
import { FRAMES } from '../e2e/published-clients.ts';
import { assertDescribed, findDescriptions, listDescriptions } from '../support/asyncapi.ts';
import { BACKENDS } from '../support/idproxy-under-test.ts';
import { type Frame, startPlatformUnderTest } from './sessions/socket-under-test.ts';

const { schemas } = createRequire(import.meta.url)('@asyncapi/specs') as {
  schemas: Readonly<Record<string, Record<string, unknown>>>;
};

/** What is wrong with a document, by the specification's own schema. */
function findFaults(document: unknown): string[] {
  // The specification's schema brings the meta-schema that Ajv has already.
  const ajv = new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false });
  const validate = ajv.compile(schemas['3.0.0'] ?? {});
  validate(document);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

describe('docs/asyncapi.yaml', () => {
  it('is what the code says', async () => {
    assert.equal(await readFile('docs/asyncapi.yaml', 'utf8'), createAsyncapiYaml());
  });

  it('is a document of AsyncAPI 3.0', () => {
    const document = parse(createAsyncapiYaml()) as { operations: Record<string, { action: string }> };
    assert.deepEqual(findFaults(document), []);
    const broken = structuredClone(document);
    broken.operations['sendFrame'] = { action: 'shout' };
    assert.notDeepEqual(findFaults(broken), []);
  });
});

/** Answers a text and a template. */
const BOT: Bot = {
  name: 'both',
  onMessage: (_session, { text }) =>
    Promise.resolve([
      { text },
      { template: { type: 'template', payload: { template_type: 'quick_replies', text: 'Pick', quick_replies: [] } } },
    ]),
};

describe('frames of a live socket', () => {
  it('are what docs/asyncapi.yaml describes, each of its messages among them', async () => {
    const platform = await startPlatformUnderTest(BACKENDS.embedded, { bot: BOT });
    try {
      const client = await platform.connect(await platform.register());
      client.say('hello', 7);
      await client.until(({ message }) => message?.[0].component.type === 'template');
      client.ws.send('{"message":{"body":"without an id"}}');
      await client.until(({ type, replyto }) => type === 'ack' && replyto === undefined);
      client.ws.send(FRAMES.ping);
      await client.until(({ type }) => type === 'pong');
      const wrong = ['{', '{"message":{},"id":7}', `{"message":{"body":"${'x'.repeat(4_001)}"},"id":"q"}`];
      for (const frame of wrong) client.ws.send(frame);
      await client.until(({ code }) => code === 'message_too_long');
      for (let at = 0; at < 30; at += 1) client.ws.send('{"type":"ping"}');
      await client.until(({ code }) => code === 'too_fast');
      for (const frame of client.frames) assertDescribed('receive', frame);
      const seen = new Set(client.frames.flatMap((frame: Frame) => findDescriptions('receive', frame)));
      assert.deepEqual([...seen].toSorted(), listDescriptions('receive').toSorted());
      client.ws.terminate();
    } finally {
      await platform.close();
    }
  });

  it('that clients send are described, too', () => {
    for (const text of [FRAMES.message('hello', 1), FRAMES.message('hello', 'a'), FRAMES.ping])
      assertDescribed('send', JSON.parse(text));
    assert.deepEqual(listDescriptions('send').toSorted(), ['Ping', 'UserMessage']);
  });

  const REFUSED: Readonly<Record<string, object>> = {
    'an unknown type': { type: 'hello' },
    'a member that nobody described': { type: 'pong', at: 1 },
    'an ack without its member': { type: 'ack', replyto: 1 },
    'an answer without a message': { type: 'bot_response', from: 'bot', message: [] },
  };
  for (const [name, frame] of Object.entries(REFUSED))
    it(`would be found out: ${name}`, () =>
      assert.throws(() => assertDescribed('receive', frame), assert.AssertionError));
});
