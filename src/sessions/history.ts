import { randomUUID } from 'node:crypto';

import { type Clock, toIsoDate } from '../core/clock.ts';
import type { JsonObject } from '../core/json.ts';
import type { ConversationStore } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import type { BotMessage, UserMessage } from './bots/bot.ts';
import type { LiveSession } from './live-session.ts';
import { createReadMessages } from './read-messages.ts';
import type { HistoryMessage } from './schemas.ts';

/** Messages that are kept of one conversation, of both sides together; older ones are dropped. */
export const MAX_KEPT_MESSAGES = 50;

/** One message as it is kept, sealed. */
export interface ChatMessage {
  readonly id: string;
  /** In seconds since the epoch. */
  readonly at: number;
  readonly from: 'user' | 'bot';
  readonly botId: string;
  readonly text?: string;
  /** A bot's message has a text or a template. */
  readonly template?: JsonObject;
}

type Owner = Pick<LiveSession, 'identityId' | 'conversation'>;

/** What was said in conversations. */
export interface History {
  fromUser(botId: string, message: UserMessage): ChatMessage;
  fromBot(botId: string, message: BotMessage): ChatMessage;
  /** Adds nothing where the conversation is not its owner's any more. @throws AppError `store_unavailable` */
  append(owner: Owner, messages: readonly ChatMessage[]): Promise<void>;
  /** Everything that is kept, with one bot, oldest first. @throws AppError `store_unavailable`, `internal` */
  read(conversation: string, botId: string): Promise<readonly ChatMessage[]>;
}

export interface HistoryDeps {
  readonly conversations: ConversationStore;
  readonly vault: Vault;
  readonly clock: Clock;
}

export function createHistory({ conversations, vault, clock }: HistoryDeps): History {
  const readMessages = createReadMessages({ conversations, vault });
  const create = (from: ChatMessage['from'], botId: string, said: BotMessage): ChatMessage => ({
    id: `ms-${randomUUID()}`,
    at: clock.nowSeconds(),
    from,
    botId,
    ...said,
  });
  return {
    fromUser: (botId, { text }) => create('user', botId, { text }),
    fromBot: (botId, message) =>
      create('bot', botId, 'template' in message ? { template: message.template } : { text: message.text }),
    append: async ({ identityId, conversation }, messages) => {
      // SECURITY: sealed for this conversation alone: a line that is copied into another one cannot be opened there.
      const sealed = messages.map((message) => vault.seal(JSON.stringify(message), `message:${conversation}`));
      if (sealed.length > 0) await conversations.append(identityId, conversation, sealed, MAX_KEPT_MESSAGES);
    },
    read: async (conversation, botId) => {
      const messages = (await readMessages(conversation)) as unknown as readonly ChatMessage[];
      return messages.filter((message) => message.botId === botId);
    },
  };
}

/** Which page of a history is wanted. */
export interface HistoryPage {
  readonly limit: number;
  readonly offset: number;
  readonly forward: boolean;
  readonly msgId?: string | undefined;
}

/**
 * A page of a history, oldest message first: going back from the newest, `offset` messages passed over, or from before
 * `msgId`; `forward` goes on after `msgId`. Published clients page with the offset and pass over what they have already.
 */
export function toHistoryPage(
  messages: readonly ChatMessage[],
  { limit, offset, forward, msgId }: HistoryPage,
): { readonly messages: readonly ChatMessage[]; readonly moreAvailable: boolean } {
  const at = msgId === undefined ? -1 : messages.findIndex(({ id }) => id === msgId);
  if (forward) {
    const start = at === -1 ? offset : at + 1;
    return { messages: messages.slice(start, start + limit), moreAvailable: start + limit < messages.length };
  }
  const end = Math.max(0, at === -1 ? messages.length - offset : at);
  const start = Math.max(0, end - limit);
  return { messages: messages.slice(start, end), moreAvailable: start > 0 };
}

/** A message in the form that the published clients render: a template is a text of JSON there. */
export function toHistoryMessage({ id, at, from, botId, text, template }: ChatMessage): HistoryMessage {
  return {
    _id: id,
    botId,
    type: from === 'user' ? 'incoming' : 'outgoing',
    createdOn: toIsoDate(at),
    components: [{ cT: 'text', data: { text: text ?? JSON.stringify(template ?? {}) } }],
  };
}
