import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';

import type { ConversationStore, ExchangeAttempt, IdentityClaim } from '../../src/stores/ports.ts';
import { createAttempt } from './attempts.ts';
import { letPass, type Opened } from './opened.ts';

/** A life that a test can wait for, in milliseconds. */
const SHORT_MS = 150;
const KEEP = 100;

/** What every backend owes to conversations that are going on. */
export function describeConversations(opened: () => Opened): void {
  const conversations = (): ConversationStore => opened().store.conversations;
  const read = (conversation: string): Promise<string[]> => conversations().read(conversation);
  const begin = async (identity: Partial<IdentityClaim> = {}): Promise<ExchangeAttempt> => {
    const attempt = createAttempt({ identity });
    assert.deepEqual(await opened().store.sessions.exchange(attempt), { kind: 'granted' });
    return attempt;
  };

  describe('conversations', () => {
    test('messages are read in the order in which they were added, by every store', async () => {
      const { id, conversation } = (await begin()).identity;
      assert.deepEqual(await read(conversation), []);
      const other = await opened().open();
      await conversations().append(id, conversation, ['one', 'two'], KEEP);
      await other.conversations.append(id, conversation, ['three'], KEEP);
      await conversations().append(id, conversation, [], KEEP);
      assert.deepEqual(await read(conversation), ['one', 'two', 'three']);
      assert.deepEqual(await other.conversations.read(conversation), ['one', 'two', 'three']);
    });

    test('100 that are added at once are all there, each once', async () => {
      const { id, conversation } = (await begin()).identity;
      const stores = [opened().store, await opened().open()];
      const messages = Array.from({ length: 100 }, (_, index) => `${index}`);
      const append = (message: string, index: number): Promise<void> =>
        (stores[index % 2] ?? opened().store).conversations.append(id, conversation, [message], KEEP);
      await Promise.all(messages.map(append));
      assert.deepEqual((await read(conversation)).toSorted(), messages.toSorted());
    });

    test('the oldest go once there are more than are kept', async () => {
      const { id, conversation } = (await begin()).identity;
      const near = (await begin()).identity;
      await conversations().append(near.id, near.conversation, ['near'], 3);
      for (const message of ['a', 'b', 'c', 'd']) await conversations().append(id, conversation, [message], 3);
      assert.deepEqual(await read(conversation), ['b', 'c', 'd']);
      await conversations().append(id, conversation, ['e', 'f', 'g', 'h', 'i'], 3);
      assert.deepEqual(await read(conversation), ['g', 'h', 'i']);
      await conversations().append(id, conversation, ['j'], 1);
      assert.deepEqual(await read(conversation), ['j']);
      assert.deepEqual(await read(near.conversation), ['near']);
    });

    test("what is not the identity's conversation takes nothing", async () => {
      const mine = (await begin()).identity;
      const other = (await begin()).identity;
      await conversations().append(other.id, mine.conversation, ['foreign'], KEEP);
      await conversations().append(mine.id, randomUUID(), ['unknown'], KEEP);
      await conversations().append(randomUUID(), mine.conversation, ['nobody'], KEEP);
      assert.deepEqual(await read(mine.conversation), []);
      assert.deepEqual(await read(other.conversation), []);
    });

    test('an answer that was still on its way does not bring back what was removed', async () => {
      const { id, owner, conversation } = (await begin()).identity;
      await conversations().append(id, conversation, ['said'], KEEP);
      assert.equal(await opened().store.identities.remove(id), true);
      assert.deepEqual(await read(conversation), []);
      await conversations().append(id, conversation, ['late'], KEEP);
      assert.deepEqual(await read(conversation), []);
      const again = (await begin({ id, owner })).identity;
      await conversations().append(id, conversation, ['late'], KEEP);
      assert.deepEqual(await read(conversation), []);
      assert.deepEqual(await read(again.conversation), []);
    });

    test('messages end with their conversation', async () => {
      const { id, conversation } = (await begin({ activeMs: SHORT_MS })).identity;
      const guest = (await begin({ activeMs: SHORT_MS, isKept: false })).identity;
      await conversations().append(id, conversation, ['kept'], KEEP);
      await conversations().append(guest.id, guest.conversation, ['guest'], KEEP);
      await letPass(opened(), SHORT_MS);
      assert.deepEqual(await read(conversation), []);
      assert.deepEqual(await read(guest.conversation), []);
      await conversations().append(id, conversation, ['late'], KEEP);
      await conversations().append(guest.id, guest.conversation, ['late'], KEEP);
      assert.deepEqual(await read(conversation), [], 'one that is over goes on');
      assert.deepEqual(await read(guest.conversation), [], 'one that is over goes on');
      const next = (await begin({ id })).identity;
      assert.deepEqual(await read(conversation), []);
      assert.deepEqual(await read(next.conversation), []);
    });

    test('a created identity that never signed in has none that goes on', async () => {
      const { identity } = createAttempt();
      await opened().store.identities.create(identity);
      await conversations().append(identity.id, identity.conversation, ['early'], KEEP);
      assert.deepEqual(await read(identity.conversation), []);
    });

    test('messages are prolonged with the next session', async () => {
      const { id, conversation } = (await begin({ activeMs: 2 * SHORT_MS })).identity;
      await conversations().append(id, conversation, ['said'], KEEP);
      await begin({ id, mayCreate: false });
      await letPass(opened(), 2 * SHORT_MS);
      assert.deepEqual(await read(conversation), ['said']);
      await conversations().append(id, conversation, ['more'], KEEP);
      assert.deepEqual(await read(conversation), ['said', 'more']);
    });

    test('odd messages come back as they were', async () => {
      const messages = ['', '\u0000', 'a\u0000b', '👩‍🚀', '\u2028', '\n', '  ', '-1', '1e3', 'ü'.repeat(32_768)];
      const { id, conversation } = (await begin({ conversation: `\u0000 😀 ${randomUUID()}` })).identity;
      await conversations().append(id, conversation, messages, KEEP);
      assert.deepEqual(await read(conversation), messages);
    });
  });
}
