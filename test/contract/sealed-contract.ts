import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { createAttempt, createIdentity } from './attempts.ts';
import { letPass, type Opened } from './opened.ts';

/** More sessions than one step looks at. */
const SESSION_COUNT = 450;
/** A life that a test can wait for, in milliseconds. */
const SHORT_MS = 150;

/** What every backend owes to whoever looks for what a master key sealed. */
export function describeSealed(opened: () => Opened): void {
  describe('what is sealed', () => {
    test('live sessions and messages are counted by what their text holds, others are not', async () => {
      const { sessions, conversations, sealed } = opened().store;
      const marker = 'v1.5ea1ed00.';
      assert.deepEqual(await sealed.count(marker), { sessions: 0, messages: 0 });
      const put = async (body: string, sessionMs = 60_000): Promise<string> => {
        const identity = createIdentity();
        const attempt = createAttempt({ body, sessionMs, identity });
        assert.equal((await sessions.exchange(attempt)).kind, 'granted');
        const found = await sessions.find(attempt.tag, attempt.session.key);
        assert.ok(found);
        await conversations.append(identity.id, found.identity.conversation, [body, 'plain', body], 50);
        return found.identity.conversation;
      };
      const one = await put(`{"c":"${marker}abc"}`);
      assert.deepEqual(await opened().store.conversations.read(one), [
        `{"c":"${marker}abc"}`,
        'plain',
        `{"c":"${marker}abc"}`,
      ]);
      await put('{"c":"v1.5ea1ed01.abc"}');
      assert.deepEqual(await sealed.count(marker), { sessions: 1, messages: 2 });
      await Promise.all(
        Array.from({ length: SESSION_COUNT }, () => sessions.exchange(createAttempt({ body: `x${marker}` }))),
      );
      assert.deepEqual(await sealed.count(marker), { sessions: SESSION_COUNT + 1, messages: 2 });
    });

    test('what has expired is not counted', async () => {
      const marker = 'v1.0ddba11e.';
      const { sessions, sealed } = opened().store;
      await sessions.exchange(createAttempt({ body: marker, sessionMs: SHORT_MS }));
      assert.equal((await sealed.count(marker)).sessions, 1);
      await letPass(opened(), SHORT_MS + 1);
      assert.equal((await sealed.count(marker)).sessions, 0);
    });
  });
}
