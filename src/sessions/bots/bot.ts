import type { JsonObject } from '../../core/json.ts';
import type { UserContext } from '../live-session.ts';

/** With whom a bot talks, and what it may know of them. */
export interface BotSession {
  readonly sessionId: string;
  /** Goes on over several bearers and sockets of one user. */
  readonly conversationId: string;
  readonly clientId: string;
  /** `botInfo.taskBotId`, as the client asked for it. */
  readonly botId: string;
  readonly userId: string;
  /** The claim `sub`. */
  readonly identity: string;
  readonly isAnonymous: boolean;
  /** Signed and unsigned data apart: `customData` is whatever the client wrote. */
  readonly UserContext: UserContext;
}

/** What a person said. */
export interface UserMessage {
  /** The client's own id of the message, as text. */
  readonly id: string;
  readonly text: string;
  /** What a pressed button carries instead of its text. */
  readonly payload?: string;
}

/** One answer: a text, or a template in the form that the published clients render. */
export type BotMessage = { readonly text: string } | { readonly template: JsonObject };

/** What answers. */
export interface Bot {
  /** For the log. */
  readonly name: string;
  /** Called when a socket opens and nothing was said in its conversation yet: again, where this answers nothing. */
  onStart?(session: BotSession, signal: AbortSignal): Promise<readonly BotMessage[]>;
  /** @throws whatever went wrong; the person is told that there is no answer now */
  onMessage(session: BotSession, message: UserMessage, signal: AbortSignal): Promise<readonly BotMessage[]>;
}
