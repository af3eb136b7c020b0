import { z } from 'zod';

import { MAX_BOT_ID_LENGTH, MAX_FRAME_ID_LENGTH } from './socket/limits.ts';

/** Messages on one page of a history, at most, as published clients limit themselves. */
const MAX_HISTORY_PAGE = 100;
const DEFAULT_HISTORY_PAGE = 10;
/** More than are ever kept. */
const MAX_HISTORY_OFFSET = 1_000_000;

const botId = z.string().max(MAX_BOT_ID_LENGTH);

const botInfo = z
  .looseObject({
    chatBot: z.string().optional().meta({ description: "The bot's name." }),
    taskBotId: botId.optional().meta({ description: "The bot's id.", example: 'st-1' }),
  })
  .meta({ description: 'The bot the client wants. Further members are ignored.' });

export const rtmStartRequest = z.looseObject({ botInfo: botInfo.optional() }).meta({ id: 'RtmStartRequest' });

export const rtmStartResponse = z
  .strictObject({
    url: z.string().meta({
      description:
        'Where to open a web socket: once, within 30 seconds. Further query members may be appended with `&`.',
      example: 'wss://idproxy.example/rtm/bot?sid=2b1zVbX0sTqF4r9WnYc7LkQhJd8eUgAm&botId=st-1&userId=u-1',
    }),
    nonce: z.string().optional().meta({
      description:
        'Where the request had `x-rtm-v`: the socket must then offer the subprotocols `x-rtm-v|1`, `jwt|<assertion>` and `nonce|<nonce>`.',
    }),
  })
  .meta({ id: 'RtmStartResponse' });

export const historyQuery = z.looseObject({
  botId: botId.default('').meta({ description: "The bot's id.", example: 'st-1' }),
  limit: z.coerce.number().int().min(1).max(MAX_HISTORY_PAGE).default(DEFAULT_HISTORY_PAGE),
  offset: z.coerce
    .number()
    .int()
    .min(0)
    .max(MAX_HISTORY_OFFSET)
    .default(0)
    .meta({ description: 'How many of the newest messages are passed over.' }),
  forward: z
    .enum(['true', 'false', '1', '0'])
    .default('false')
    .transform((value) => value === 'true' || value === '1')
    .meta({ description: 'Whether to go on after `msgId` instead of back from it.' }),
  msgId: z.string().max(MAX_FRAME_ID_LENGTH).optional().meta({ description: 'The message to go from.' }),
});

const historyMessage = z
  .strictObject({
    _id: z.string().meta({ example: 'ms-1' }),
    botId: z.string(),
    type: z.enum(['incoming', 'outgoing']).meta({ description: 'From the user, from the bot.' }),
    createdOn: z.string().meta({ description: 'ISO 8601.' }),
    components: z.array(
      z.strictObject({
        cT: z.literal('text'),
        data: z.strictObject({ text: z.string().meta({ description: 'A text, or a template as JSON.' }) }),
      }),
    ),
  })
  .meta({ id: 'HistoryMessage' });

export type HistoryMessage = z.output<typeof historyMessage>;

export const historyResponse = z
  .strictObject({
    messages: z.array(historyMessage).meta({ description: 'Oldest first.' }),
    moreAvailable: z.boolean(),
    icon: z.string(),
  })
  .meta({ id: 'HistoryResponse' });

export const themePath = z.object({ botId: z.string().meta({ description: "The bot's id.", example: 'st-1' }) });

export const themeResponse = z
  .strictObject({})
  .meta({ id: 'Theme', description: 'There is none: the page keeps its own.' });
