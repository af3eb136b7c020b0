import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import { toIsoDate } from '../../core/clock.ts';
import { JsonError, type JsonObject, parseJsonObject } from '../../core/json.ts';
import type { UserMessage } from '../bots/bot.ts';
import type { ChatMessage } from '../history.ts';
import { MAX_FRAME_ID_LENGTH, MAX_MESSAGE_LENGTH } from './limits.ts';

const frameId = z.union([z.string().max(MAX_FRAME_ID_LENGTH), z.number()]);

/** A person says something. */
export const userMessageFrame = z
  .looseObject({
    id: frameId.optional().meta({ description: "The client's own id of the message.", example: 1767225600000 }),
    clientMessageId: frameId.optional().meta({ description: 'The same, where `id` is left out.' }),
    resourceid: z.literal('/bot.message').optional(),
    message: z.looseObject({
      body: z.string().meta({ description: 'What is said, or what a pressed button carries.', example: 'hello' }),
      renderMsg: z
        .string()
        .optional()
        .meta({ description: 'What the person sees instead, where a button was pressed.' }),
    }),
  })
  .meta({
    id: 'UserMessageFrame',
    description:
      'A person says something: a frame without a `type`. `botInfo`, `client`, `meta` and other members are ignored: the bot is the one that the socket was started for.',
  });

/** A client asks whether the server is there. */
export const pingFrame = z
  .looseObject({ type: z.literal('ping') })
  .meta({ id: 'PingFrame', description: 'Answered with a pong. Clients send it every 30 s.' });

/** The first frame from the server. */
export const readyFrame = z
  .strictObject({ type: z.literal('ready') })
  .meta({ id: 'ReadyFrame', description: 'The socket is open.' });

export const pongFrame = z
  .strictObject({ type: z.literal('pong') })
  .meta({ id: 'PongFrame', description: 'The answer to a ping.' });

/** A message was taken. */
export const ackFrame = z
  .strictObject({ ok: z.literal(true), replyto: frameId.optional(), type: z.literal('ack') })
  .meta({ id: 'AckFrame', description: 'A message was taken for the bot; `replyto` is its id, where it had one.' });

/** The bot says something. */
export const botResponseFrame = z
  .strictObject({
    type: z.literal('bot_response'),
    from: z.literal('bot'),
    message: z
      .array(
        z.strictObject({
          type: z.literal('text'),
          component: z.strictObject({
            type: z.enum(['text', 'template']),
            payload: z.record(z.string(), z.unknown()).meta({ description: '`{"text"}`, or the whole template.' }),
          }),
          cInfo: z.strictObject({ body: z.string() }),
        }),
      )
      .length(1),
    messageId: z.string().meta({ description: 'The same as `_id` in the history.', example: 'ms-1' }),
    botInfo: z.strictObject({ taskBotId: z.string() }),
    createdOn: z.string().meta({ description: 'ISO 8601.' }),
    timestamp: z.int().meta({ description: 'The same, in milliseconds since the epoch.' }),
    icon: z.string(),
  })
  .meta({ id: 'BotResponseFrame', description: 'The bot says something: one text or one template.' });

/** Why a frame was dropped. */
export const FRAME_FAULTS = {
  malformed_frame: 'the frame is not a JSON object that can be read',
  unsupported_message: 'a message needs "message.body" with a text',
  message_too_long: `a message may have ${MAX_MESSAGE_LENGTH} characters`,
  too_fast: 'frames come too fast; this one was dropped',
} as const;

export type FrameFault = keyof typeof FRAME_FAULTS;

/** A frame was dropped. */
export const errorFrame = z
  .strictObject({
    type: z.literal('error'),
    code: z.enum(Object.keys(FRAME_FAULTS) as [FrameFault, ...FrameFault[]]),
    msg: z.string(),
    replyto: frameId.optional(),
  })
  .meta({ id: 'ErrorFrame', description: 'A frame was dropped. Published clients pass over it.' });

type FrameId = z.output<typeof frameId>;

/** What a client's frame means. */
export type ClientFrame =
  | { readonly kind: 'ping' | 'ignored' }
  | { readonly kind: 'message'; readonly message: UserMessage; readonly replyTo: FrameId | undefined }
  | { readonly kind: 'wrong'; readonly fault: FrameFault; readonly replyTo?: FrameId | undefined };

/** Reads a frame. A type that is not known here is ignored: clients acknowledge and report a lot. Never throws. */
export function parseFrame(text: string): ClientFrame {
  let frame: JsonObject;
  try {
    frame = parseJsonObject(text);
  } catch (error) {
    if (error instanceof JsonError) return { kind: 'wrong', fault: 'malformed_frame' };
    throw error;
  }
  if (frame['type'] === 'ping') return { kind: 'ping' };
  if (frame['type'] !== undefined || !Object.hasOwn(frame, 'message')) return { kind: 'ignored' };
  if (frame['resourceid'] !== undefined && frame['resourceid'] !== '/bot.message') return { kind: 'ignored' };
  const parsed = userMessageFrame.safeParse(frame, { reportInput: false });
  if (!parsed.success) return { kind: 'wrong', fault: 'unsupported_message', replyTo: readId(frame) };
  const { id, clientMessageId, message } = parsed.data;
  const replyTo = id ?? clientMessageId;
  const { body, renderMsg } = message;
  if (body.trim() === '') return { kind: 'wrong', fault: 'unsupported_message', replyTo };
  if (Math.max(body.length, renderMsg?.length ?? 0) > MAX_MESSAGE_LENGTH)
    return { kind: 'wrong', fault: 'message_too_long', replyTo };
  return { kind: 'message', replyTo, message: toUserMessage(String(replyTo ?? randomUUID()), body, renderMsg) };
}

/** A pressed button: the person saw `renderMsg`, and `body` is for the bot. */
function toUserMessage(id: string, body: string, renderMsg: string | undefined): UserMessage {
  return renderMsg === undefined || renderMsg === '' ? { id, text: body } : { id, text: renderMsg, payload: body };
}

function readId({ id, clientMessageId }: JsonObject): FrameId | undefined {
  const parsed = frameId.safeParse(id ?? clientMessageId);
  return parsed.success ? parsed.data : undefined;
}

export function toAck(replyTo: FrameId | undefined): z.input<typeof ackFrame> {
  return { ok: true, ...(replyTo !== undefined && { replyto: replyTo }), type: 'ack' };
}

export function toErrorFrame(fault: FrameFault, replyTo?: FrameId): z.input<typeof errorFrame> {
  return { type: 'error', code: fault, msg: FRAME_FAULTS[fault], ...(replyTo !== undefined && { replyto: replyTo }) };
}

/**
 * No picture, for messages that are shown together. Published clients fail on a pressed quick reply whose message has no
 * icon at all, and ask for `…/undefined` where the member is missing.
 */
export function toIcon(messages: readonly { readonly template?: JsonObject | undefined }[]): '' | 'data:,' {
  return messages.some(({ template }) => template !== undefined) ? 'data:,' : '';
}

/** A bot's message in exactly the form that the published clients render: text in two places, a template below `component`. */
export function toBotResponse({ id, at, botId, text, template }: ChatMessage): z.input<typeof botResponseFrame> {
  const component =
    template === undefined
      ? { type: 'text' as const, payload: { text: text ?? '' } }
      : { type: 'template' as const, payload: { ...template } };
  return {
    type: 'bot_response',
    from: 'bot',
    message: [{ type: 'text', component, cInfo: { body: text ?? '' } }],
    messageId: id,
    botInfo: { taskBotId: botId },
    createdOn: toIsoDate(at),
    timestamp: Math.round(at * 1000),
    icon: toIcon([{ template }]),
  };
}
