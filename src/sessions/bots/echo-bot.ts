import type { JsonObject } from '../../core/json.ts';
import type { Bot, BotMessage, BotSession } from './bot.ts';

/** Names of one kind of context that the answer lists; the rest is counted. */
export const MAX_ECHO_NAMES = 20;
/** Characters of such a name that are shown. */
export const MAX_ECHO_NAME_LENGTH = 40;
/** Characters of what was said that are repeated. */
export const MAX_ECHO_TEXT_LENGTH = 1_000;

/** Characters of a conversation's id that are shown: enough to tell two apart. */
const SHORT_ID_LENGTH = 8;

const SANDBOX = 'This is the sandbox of Countersign: no assistant, an echo.';

/**
 * The bot of the sandbox: it repeats what was said, and tells a developer who the platform takes the caller for.
 * SECURITY: of the user's context only names are shown. Its values are for the bot; this answer goes to the browser.
 */
export function createEchoBot(): Bot {
  return {
    name: 'echo',
    onStart: async (session) => [
      { text: `${SANDBOX} ${describeUser(session)}` },
      toQuickReplies('Say something, or ask one of these:', ['Who am I?', 'What do you know?']),
    ],
    onMessage: async (session, { text, payload }) => {
      const said = payload !== undefined && payload !== text ? `${text} (${payload})` : text;
      return [{ text: `You said: ${shorten(said, MAX_ECHO_TEXT_LENGTH)}` }, { text: describe(session) }];
    },
  };
}

function describe(session: BotSession): string {
  const { privateClaims, secureCustomData, customData } = session.UserContext;
  return [
    `${SANDBOX} ${describeUser(session)}`,
    `Signed: privateClaims ${listNames(privateClaims)}; secureCustomData ${listNames(secureCustomData)}.`,
    `Not signed, anyone can write it: customData ${listNames(customData)}.`,
  ].join('\n');
}

function describeUser({ isAnonymous, conversationId }: BotSession): string {
  const who = isAnonymous ? 'an anonymous user' : 'a known user';
  return `You are ${who}, in conversation ${conversationId.slice(0, SHORT_ID_LENGTH)}.`;
}

function listNames(members: JsonObject): string {
  const names = Object.keys(members);
  if (names.length === 0) return 'none';
  const shown = names.slice(0, MAX_ECHO_NAMES).map((name) => shorten(name, MAX_ECHO_NAME_LENGTH));
  const rest = names.length - shown.length;
  return shown.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

function shorten(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength)}…`;
}

function toQuickReplies(text: string, titles: readonly string[]): BotMessage {
  const replies = titles.map((title) => ({ content_type: 'text', title, payload: title }));
  return { template: { type: 'template', payload: { template_type: 'quick_replies', text, quick_replies: replies } } };
}
