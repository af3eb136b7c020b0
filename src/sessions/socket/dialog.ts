import { AppError } from '../../core/errors.ts';
import type { Logger } from '../../http/access-log.ts';
import type { ClaimStore } from '../../stores/ports.ts';
import type { Bot, BotMessage, BotSession, UserMessage } from '../bots/bot.ts';
import type { ChatMessage, History } from '../history.ts';
import type { BearerSessions, LiveSession } from '../live-session.ts';
import { askBot, BotSilence } from './ask-bot.ts';
import { toBotResponse } from './frames.ts';
import { greet } from './greeting.ts';
import { createTurns } from './turns.ts';

/** What a person is told when the bot fails; it is not kept, since the bot did not say it. */
export const BOT_SILENT_TEXT = 'The assistant does not answer at the moment. Please try again later.';

/**
 * The bot's side of one socket: one message at a time, in their order. What was taken is answered into the history
 * whether the socket lives or not; only sending needs it.
 */
export interface Dialog {
  /** Lets the bot greet where nothing was said yet. */
  begin(): void;
  /** Takes a message for the bot: it is kept, then acknowledged, then asked when its turn comes. */
  say(message: UserMessage, acknowledge: () => void): void;
  /** Messages that are not answered yet. */
  waiting(): number;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
  /** Asks nothing more; the question that is out is answered. */
  finish(): void;
  /** Gives up the question that is out, too. SECURITY: for sessions that were ended, on whose behalf nothing may be asked. */
  abandon(): void;
}

export interface DialogDeps {
  readonly live: LiveSession;
  readonly botId: string;
  readonly bot: Bot;
  readonly botTimeoutMs: number;
  readonly bearers: Pick<BearerSessions, 'openContext'>;
  readonly history: History;
  readonly claims: ClaimStore;
  readonly send: (frame: object) => void;
  /** Aborted when the socket is being closed. */
  readonly closed: AbortSignal;
  readonly logger: Logger;
  /** What every line of the log says. */
  readonly log: object;
  readonly onTurnDone: () => void;
}

type Call = (session: BotSession, signal: AbortSignal) => Promise<readonly BotMessage[]>;

export function createDialog(deps: DialogDeps): Dialog {
  const { live, botId, bot, bearers, history, send, logger, log } = deps;
  const taking = createTurns(deps.onTurnDone);
  const turns = createTurns(deps.onTurnDone);
  const over = new AbortController();
  let hasSaid = false;
  let isFinishing = false;
  let isKept = true;

  // For each call anew: what is signed of a user does not lie open in memory for as long as their socket.
  const toBotSession = (): BotSession => ({
    sessionId: live.id,
    conversationId: live.conversation,
    clientId: live.session.clientId,
    botId,
    userId: live.session.userId,
    identity: live.session.subject,
    isAnonymous: live.session.isAnonymous,
    UserContext: bearers.openContext(live),
  });

  // What cannot be kept is said all the same. One line in the log until it works again.
  const keep = async (messages: readonly ChatMessage[]): Promise<void> => {
    try {
      await history.append(live, messages);
      isKept = true;
    } catch (error) {
      if (isKept) logger.warn({ ...log, failure: toFailure(error) }, 'socket: messages are not kept');
      isKept = false;
    }
  };

  const tell = (messages: readonly ChatMessage[]): void => messages.forEach((message) => send(toBotResponse(message)));

  const ask = async (call: Call): Promise<readonly ChatMessage[]> => {
    try {
      const answers = await askBot(async (signal) => call(toBotSession(), signal), deps.botTimeoutMs, over.signal);
      return answers.map((answer) => history.fromBot(botId, answer));
    } catch (error) {
      if (error instanceof BotSilence && !error.isTimeout) return [];
      logger.warn({ ...log, bot: bot.name, failure: toFailure(error) }, 'bot');
      send(toBotResponse(history.fromBot(botId, { text: BOT_SILENT_TEXT })));
      return [];
    }
  };

  const begin = async (): Promise<void> => {
    if (bot.onStart === undefined) return;
    const call: Call = (session, signal) => bot.onStart?.(session, signal) ?? Promise.resolve([]);
    const noteFailure = (error: unknown): void =>
      logger.warn({ ...log, failure: toFailure(error) }, 'socket: the conversation cannot be read');
    try {
      const rest = await greet({ ...deps, ask: () => ask(call), keep, tell, isOver: () => hasSaid });
      rest?.().catch(noteFailure);
    } catch (error) {
      noteFailure(error);
    }
  };
  const answer = async (message: UserMessage): Promise<void> => {
    const answers = await ask((session, signal) => bot.onMessage(session, message, signal));
    tell(answers);
    await keep(answers);
  };
  const finish = (): void => {
    isFinishing = true;
    turns.clear();
  };

  return {
    begin: () => turns.add(begin),
    say: (message, acknowledge) => {
      hasSaid = true;
      taking.add(async () => {
        await keep([history.fromUser(botId, message)]);
        acknowledge();
        if (!isFinishing) turns.add(() => answer(message));
      });
    },
    waiting: () => taking.count() + turns.count(),
    idle: async () => {
      await taking.idle();
      await turns.idle();
    },
    finish,
    abandon: () => {
      finish();
      over.abort();
    },
  };
}

/** What the log may say of a failure: never an unknown error's message, which may quote what someone said. */
function toFailure(error: unknown): string {
  if (error instanceof AppError) return error.detail ?? error.code;
  if (error instanceof BotSilence) return error.message;
  return error instanceof Error ? error.name : 'a value that is no error';
}
