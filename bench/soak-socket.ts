import { once } from 'node:events';
import { WebSocket } from 'ws';

/** How long an answer may take before the socket counts as failed, in milliseconds. */
const ANSWER_TIMEOUT_MS = 10_000;

/** A user at a socket. */
export interface SoakSocket {
  /** Says something, and waits for the bot's answer. @throws where it does not come */
  say(text: string): Promise<void>;
  /** Drops the connection and starts again with the same bearer, as the published clients do. */
  restart(): Promise<void>;
  isOpen(): boolean;
  close(): void;
}

interface Frame {
  readonly type?: string;
}

async function post(url: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<object> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as object;
}

function waitForFrame(socket: WebSocket, type: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      socket.off('message', onMessage);
      socket.off('close', onClose);
      if (error) reject(error);
      else resolve();
    };
    const onMessage = (data: Buffer): void => {
      if ((JSON.parse(data.toString()) as Frame).type === type) finish();
    };
    const onClose = (code: number): void => finish(new Error(`closed with ${code} before ${type}`));
    const timer = setTimeout(() => finish(new Error(`no ${type} came`)), ANSWER_TIMEOUT_MS);
    socket.on('message', onMessage).once('close', onClose);
  });
}

/** Signs in with an assertion, starts a real-time session and opens its socket. */
export async function openSocket(url: string, assertion: string): Promise<SoakSocket> {
  const botInfo = { chatBot: 'Soak', taskBotId: 'st-soak' };
  const granted = (await post(`${url}/api/oAuth/token/jwtgrant`, { assertion, botInfo })) as {
    authorization: { accessToken: string };
  };
  const authorization = `bearer ${granted.authorization.accessToken}`;
  const connect = async (): Promise<WebSocket> => {
    const started = (await post(`${url}/api/rtm/start`, { botInfo }, { authorization })) as { url: string };
    const socket = new WebSocket(started.url.replace(/^wss?:\/\/[^/]+/, url.replace(/^http/, 'ws')));
    // What goes wrong later shows at the next message.
    socket.on('error', () => undefined);
    await waitForFrame(socket, 'ready');
    return socket;
  };
  let socket = await connect();
  let nextId = 1;
  return {
    say: async (text) => {
      const id = (nextId += 1);
      const answered = waitForFrame(socket, 'bot_response');
      const message = { body: text };
      socket.send(JSON.stringify({ clientMessageId: id, id, message, resourceid: '/bot.message', botInfo }));
      await answered;
    },
    restart: async () => {
      socket.terminate();
      await once(socket, 'close');
      socket = await connect();
    },
    isOpen: () => socket.readyState === WebSocket.OPEN,
    close: () => socket.close(),
  };
}
