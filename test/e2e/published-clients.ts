const FORM = 'application/x-www-form-urlencoded; charset=utf-8';
const JSON_TYPE = 'application/json; charset=UTF-8';
/** The user of every client who is not anonymous. */
export const IDENTITY = 'alice@example.com';

/**
 * Requests as the published mobile clients make them. None is a capture of a device: no phone runs in these tests. Paths,
 * members of the bodies, odd headers, subprotocols and what a client does on a drop follow what is known of the published
 * clients from their sources and documentation. Made up are the values (names, ids, the user agent) and whatever nobody
 * depends on, such as the order of fields and how they are escaped. The web client is not described at all: there it is the
 * package itself that runs, in `browser-kore-sdk*.test.ts`.
 */

/** A request of a client, with what an earlier answer fills in. */
export interface ClientRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly toBody: (value: string) => string;
}

/** What a client does with its socket. */
export interface SocketHabits {
  /** What it makes of the URL that the start answered; of `ConnectionMode` only the name is known for sure. */
  readonly toUrl: (url: string) => string;
  /** What it offers for its JWT and the nonce. */
  readonly toProtocols: (jwt: string, nonce: string) => string[];
}

/**
 * The requests that a client makes: `mint` is filled with nothing, `exchange` with the JWT, `start` with the bearer;
 * `history` is the path of a GET.
 */
export interface Client {
  readonly mint: ClientRequest;
  readonly exchange: ClientRequest;
  readonly start: ClientRequest;
  readonly history: string;
  readonly socket: SocketHabits;
  readonly sub: RegExp;
}

/** Secure RTM: the client sent `x-rtm-v` with its start. */
const SECURE = (jwt: string, nonce: string): string[] => ['x-rtm-v|1', `jwt|${jwt}`, `nonce|${nonce}`];
const PLAIN = (): string[] => [];

const BOT = { chatBot: 'My Bot', taskBotId: 'st-7b0c1e52-8f0e-4d3e-9c1d-2f5a6b7c8d9e' };
const BOT_FIELDS = `botInfo%5BchatBot%5D=My%20Bot&botInfo%5BtaskBotId%5D=${BOT.taskBotId}`;

/** The published mobile clients. */
export const CLIENTS: Readonly<Record<string, Client>> = {
  Android: {
    sub: /^alice@example\.com$/,
    history: `/api/1.1/botmessages/rtm?botId=${BOT.taskBotId}&limit=50&offset=0&forward=true`,
    socket: {
      toUrl: (url) => `${url}&ConnectionMode=RECONNECT`,
      toProtocols: SECURE,
    },
    mint: {
      path: '/users/sts',
      headers: { 'content-type': JSON_TYPE, alg: 'RS256', typ: 'JWT', 'user-agent': 'okhttp/3.11.0' },
      toBody: () =>
        JSON.stringify({
          clientId: 'cs-1',
          clientSecret: 'x',
          identity: IDENTITY,
          aud: 'https://idproxy.kore.com/authorize',
          isAnonymous: false,
        }),
    },
    exchange: {
      path: '/api/oAuth/token/jwtgrant',
      headers: { 'content-type': JSON_TYPE, 'user-agent': 'okhttp/3.11.0' },
      toBody: (jwt) => JSON.stringify({ assertion: jwt, botInfo: { ...BOT, customData: { name: 'Alice' } } }),
    },
    start: {
      path: '/api/rtm/start',
      headers: { 'content-type': JSON_TYPE, 'x-rtm-v': '1' },
      toBody: () => JSON.stringify({ botInfo: { ...BOT, customData: {} } }),
    },
  },
  'React Native': {
    sub: /^alice@example\.com$/,
    history: `/api/botmessages/rtm?botId=${BOT.taskBotId}&limit=50&offset=0&forward=false`,
    socket: { toUrl: (url) => `${url}&isReconnect=true`, toProtocols: SECURE },
    mint: {
      path: '/api/users/sts/',
      headers: { 'content-type': 'application/json', accept: 'application/json', alg: 'RS256', typ: 'JWT' },
      toBody: () =>
        JSON.stringify({ clientId: '', clientSecret: '', identity: IDENTITY, aud: '', isAnonymous: 'false' }),
    },
    exchange: {
      path: '/api/oAuth/token/jwtgrant',
      headers: { 'content-type': 'application/json' },
      toBody: (jwt) => JSON.stringify({ assertion: jwt, botInfo: BOT, token: {}, uiVersion: 'v2' }),
    },
    start: {
      path: '/api/rtm/start',
      headers: { 'content-type': 'application/json', 'x-rtm-v': '1' },
      toBody: () => JSON.stringify({ botInfo: BOT, language: 'en', token: {} }),
    },
  },
  'iOS, a known user': {
    sub: /^alice@example\.com$/,
    history: `/api/1.1/botmessages/rtm?botId=${BOT.taskBotId}&limit=50&offset=0&forward=false&msgId=`,
    socket: { toUrl: (url) => `${url}&isReconnect=true&ConnectionMode=Reconnect`, toProtocols: PLAIN },
    mint: {
      path: '/users/sts',
      headers: { 'content-type': FORM, alg: 'RS256', typ: 'JWT' },
      toBody: () => `aud=&clientId=cs-1&clientSecret=x&identity=${encodeURIComponent(IDENTITY)}&isAnonymous=0`,
    },
    exchange: {
      path: '/api/1.1/oAuth/token/jwtgrant',
      headers: { 'content-type': FORM },
      toBody: (jwt) => `assertion=${jwt}&${BOT_FIELDS}`,
    },
    start: {
      path: '/api/1.1/rtm/start',
      headers: { 'content-type': FORM },
      toBody: (bearer) => `authorization=bearer%20${bearer}&${BOT_FIELDS}`,
    },
  },
  'iOS, an anonymous user': {
    sub: /^[\w-]{22}$/,
    history: `/api/1.1/botmessages/rtm?botId=${BOT.taskBotId}&limit=50`,
    socket: { toUrl: (url) => url, toProtocols: PLAIN },
    mint: {
      path: '/users/sts',
      headers: { 'content-type': FORM, alg: 'RS256', typ: 'JWT' },
      toBody: () => 'aud=&clientId=cs-1&clientSecret=x&identity=&isAnonymous=1',
    },
    exchange: {
      path: '/api/1.1/oAuth/token/jwtgrant',
      headers: { 'content-type': FORM },
      toBody: (jwt) => `assertion=${jwt}&${BOT_FIELDS}&botInfo%5BcustomData%5D%5Bname%5D=Ann`,
    },
    start: {
      path: '/api/rtm/start',
      headers: { 'content-type': FORM },
      toBody: (bearer) => `authorization=bearer%20${bearer}&authorization=bearer%20${bearer}&${BOT_FIELDS}`,
    },
  },
};

/** What every one of them sends over its socket. */
export const FRAMES = {
  message: (text: string, id: number | string): string =>
    JSON.stringify({
      clientMessageId: id,
      resourceid: '/bot.message',
      message: { body: text, attachments: [] },
      botInfo: { ...BOT, customData: { name: 'Alice' } },
      client: 'Android',
      meta: { timezone: 'Europe/Berlin', locale: 'en-US' },
      id,
    }),
  ping: JSON.stringify({ type: 'ping', resourceid: '/bot.message', botInfo: BOT, client: 'sdk', id: 1 }),
  deliveryAck: JSON.stringify({ clientMessageId: 2, type: 'ack', replyto: 2, status: 'delivered', id: 2 }),
} as const;
