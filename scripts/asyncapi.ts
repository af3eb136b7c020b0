import { stringify } from 'yaml';
import { z } from 'zod';

import packageJson from '../package.json' with { type: 'json' };
import {
  ackFrame,
  botResponseFrame,
  errorFrame,
  FRAME_FAULTS,
  pingFrame,
  pongFrame,
  readyFrame,
  userMessageFrame,
} from '../src/sessions/socket/frames.ts';
import { CLOSE_CODES } from '../src/sessions/socket/limits.ts';
import { SOCKET_REFUSALS } from '../src/sessions/socket/refuse.ts';

/** Frames by who sends them, as clients see it. */
export const FRAMES = {
  send: { UserMessage: userMessageFrame, Ping: pingFrame },
  receive: { Ready: readyFrame, Ack: ackFrame, BotResponse: botResponseFrame, Pong: pongFrame, Error: errorFrame },
} as const satisfies Record<'send' | 'receive', Readonly<Record<string, z.ZodType>>>;

/** What a client does when its socket is closed with a code. */
const CLOSE_MEANINGS: Readonly<Record<keyof typeof CLOSE_CODES, string>> = {
  unsupported: 'a binary frame',
  policy: 'too many frames that were too fast or wrong',
  internal: 'the server failed; start again',
  restart: 'the server is being stopped; start again, another one may answer',
  tryLater: 'the client did not read what was sent to it; start again later',
  sessionOver: 'the session is over: the bearer expired or was revoked, or its user is gone; get a new assertion',
  dropOff: 'the conversation goes on elsewhere ("Drop-off"); the bearer still holds',
  forbidden: 'the app or the bot is not allowed any more',
};

const toList = (rows: readonly (readonly [string | number, string])[]): string =>
  rows.map(([name, meaning]) => `- \`${name}\`: ${meaning}`).join('\n');

const DESCRIPTION = `The web socket behind \`POST /api/rtm/start\` of \`openapi.yaml\`. That answer's \`url\` is used once, within 30 seconds.

## Opening

The URL is used as it is; clients may add members to its query, which are ignored. Where the start's answer had a \`nonce\`
("secure RTM"), three subprotocols are offered: \`x-rtm-v|1\`, \`jwt|<the assertion>\`, \`nonce|<the nonce>\`; the server takes the
first. An upgrade that is refused is answered with JSON, \`{"errors":[{"msg","code"}]}\`, where \`code\` is the HTTP status:

${toList(Object.values(SOCKET_REFUSALS).map(({ status, msg }) => [status, msg]))}

## Frames

Text frames, each one JSON object. A frame that cannot be taken is dropped, and an \`error\` frame says why:

${toList(Object.entries(FRAME_FAULTS))}

Frames of a type that is not described here are ignored. Besides, the server sends WebSocket pings every 30 seconds.

## Closing

${toList(Object.entries(CLOSE_CODES).map(([name, code]) => [code, CLOSE_MEANINGS[name as keyof typeof CLOSE_CODES]]))}

A client that loses its socket starts again with the same bearer: the conversation goes on. 401 at that start means that the
bearer is over.
`;

function toMessages(frames: Readonly<Record<string, z.ZodType>>): object {
  const entries = Object.entries(frames).map(([name, frame]) => {
    const schema = z.toJSONSchema(frame, { target: 'draft-7', io: 'input' }) as { definitions?: object };
    const [payload] = Object.values<object>({ ...schema.definitions });
    if (payload === undefined) throw new TypeError(`${name}: the schema of a frame needs an id`);
    return [name, { name, contentType: 'application/json', payload }] as const;
  });
  return Object.fromEntries(entries);
}

const toReferences = (frames: object): object[] =>
  Object.keys(frames).map((name) => ({ $ref: `#/channels/bot/messages/${name}` }));

/** The description of the socket, as it is committed. */
export function createAsyncapiYaml(): string {
  const document = {
    asyncapi: '3.0.0',
    info: {
      title: 'Countersign: the web socket',
      version: packageJson.version,
      description: DESCRIPTION,
      license: { name: 'MIT' },
    },
    servers: { idproxy: { host: '127.0.0.1:4000', protocol: 'ws', description: 'idproxy' } },
    channels: {
      bot: {
        address: '/rtm/bot',
        description: 'One person and one bot.',
        bindings: {
          ws: {
            method: 'GET',
            query: {
              type: 'object',
              properties: { sid: { type: 'string', pattern: '^[\\w-]{32}$' } },
              required: ['sid'],
            },
          },
        },
        messages: { ...toMessages(FRAMES.send), ...toMessages(FRAMES.receive) },
      },
    },
    operations: {
      sendFrame: {
        action: 'send',
        channel: { $ref: '#/channels/bot' },
        summary: 'What a client sends.',
        messages: toReferences(FRAMES.send),
      },
      receiveFrame: {
        action: 'receive',
        channel: { $ref: '#/channels/bot' },
        summary: 'What a client receives.',
        messages: toReferences(FRAMES.receive),
      },
    },
  };
  const note =
    '# Generated from the code by "npm run openapi". Change src/sessions/socket/ or scripts/asyncapi.ts instead.\n';
  return note + stringify(document, { aliasDuplicateObjects: false, blockQuote: 'literal', lineWidth: 0 });
}
