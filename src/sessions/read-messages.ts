import { AppError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { ConversationStore } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import type { ReadMessages } from './identity-registry.ts';

export interface ReadMessagesDeps {
  readonly conversations: Pick<ConversationStore, 'read'>;
  readonly vault: Pick<Vault, 'open'>;
}

/** Opens what a conversation holds. It throws AppError `internal` where it was sealed under another master key. */
export function createReadMessages({ conversations, vault }: ReadMessagesDeps): ReadMessages {
  return async function readMessages(conversation) {
    const open = (sealed: string): JsonObject =>
      JSON.parse(vault.open(sealed, `message:${conversation}`)) as JsonObject;
    const sealed = await conversations.read(conversation);
    try {
      return sealed.map(open);
    } catch (cause) {
      throw new AppError('internal', { detail: 'a stored message cannot be opened', cause });
    }
  };
}
