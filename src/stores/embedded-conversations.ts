import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { GroupCommit } from './embedded-group-commit.ts';
import { reading, toBlob, toText } from './embedded-rows.ts';
import type { ConversationStore } from './ports.ts';

export interface EmbeddedConversationsDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly nowMs: () => number;
}

/** Conversations in SQLite: a row a message. */
export function createEmbeddedConversations({ db, commits, nowMs }: EmbeddedConversationsDeps): ConversationStore {
  const findEnd = db.prepare('SELECT active_until_ms FROM identities WHERE key = ? AND conversation = ?');
  const insert = db.prepare('INSERT INTO messages (conversation, body, expires_at_ms) VALUES (?, ?, ?)');
  const trim = db.prepare(`
    DELETE FROM messages WHERE conversation = ? AND key <=
      (SELECT key FROM messages WHERE conversation = ? ORDER BY key DESC LIMIT 1 OFFSET ?)`);
  const read = db.prepare('SELECT body FROM messages WHERE conversation = ? AND expires_at_ms > ? ORDER BY key');

  return {
    append: (identityId, conversation, messages, keep) =>
      commits.run(() => {
        const name = toBlob(conversation);
        const found = findEnd.get(toBlob(identityId), name) as { active_until_ms: number } | undefined;
        if (!found) return;
        for (const message of messages) insert.run(name, toBlob(message), found.active_until_ms);
        trim.run(name, name, keep);
      }),
    read: (conversation) =>
      reading(() =>
        (read.all(toBlob(conversation), nowMs()) as unknown as { body: Uint8Array }[]).map(({ body }) => toText(body)),
      ),
  };
}
