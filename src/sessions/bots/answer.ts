import { z } from 'zod';

import { AppError } from '../../core/errors.ts';
import { isJsonObject, JsonError, type JsonObject, parseJsonObject } from '../../core/json.ts';
import type { BotMessage } from './bot.ts';

/** A whole answer of a bot as JSON, in bytes: several long texts or templates, and little to hold for many people. */
export const MAX_ANSWER_BYTES = 65_536;
/** Messages in one answer: more would flood the window of a chat. */
export const MAX_ANSWER_MESSAGES = 10;
/** Characters (UTF-16 code units) of one text. */
export const MAX_ANSWER_TEXT_LENGTH = 8_000;

/** A template without a type or a payload makes the published clients throw. */
const isTemplate = (value: unknown): boolean =>
  isJsonObject(value) && typeof value['type'] === 'string' && isJsonObject(value['payload']);

const messageSchema = z.union([
  z.strictObject({ text: z.string().min(1).max(MAX_ANSWER_TEXT_LENGTH) }),
  z.strictObject({ template: z.custom<JsonObject>(isTemplate) }),
]);

/** What a bot answers: `{"messages":[{"text":"…"}|{"template":{"type":"template","payload":{…}}}]}`. */
const answerSchema = z.strictObject({ messages: z.array(messageSchema).max(MAX_ANSWER_MESSAGES) });

/** A bot that gave no usable answer. `detail` is for the log and quotes nothing that anyone said. */
export function botError(detail: string): AppError {
  return new AppError('upstream_unavailable', { detail: `the bot ${detail}` });
}

/**
 * The messages of an answer, strictly: an unknown member is a mistake that its author must see, not one that a person
 * who waits for an answer finds out.
 * @throws AppError `upstream_unavailable`
 */
export function parseBotAnswer(text: string): readonly BotMessage[] {
  if (Buffer.byteLength(text) > MAX_ANSWER_BYTES) throw botError(`answered more than ${MAX_ANSWER_BYTES} bytes`);
  const result = answerSchema.safeParse(parseObject(text), { reportInput: false });
  if (result.success) return result.data.messages;
  const [issue] = result.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? 'the answer' : issue.path.map(String).join('.');
  throw botError(`answered in another form than {"messages":[{"text"} or {"template":{"type","payload"}}]}: ${where}`);
}

function parseObject(text: string): JsonObject {
  try {
    return parseJsonObject(text);
  } catch (error) {
    throw error instanceof JsonError ? botError(`gave an answer that ${error.message}`) : error;
  }
}
