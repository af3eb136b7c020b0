import assert from 'node:assert/strict';

import { openClient } from '../http/sessions/socket-under-test.ts';
import { FRAMES, type ClientRequest } from './published-clients.ts';

/** An answer to a client. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** The answer to an exchange. */
export interface Grant {
  readonly authorization: Readonly<Record<'accessToken' | 'token_type' | 'issuedDate' | 'expiresDate', string>>;
  readonly userInfo: Readonly<Record<string, string>>;
}

/** Sends a client's request, filled with `value`. */
export async function send(
  url: string,
  { path, headers, toBody }: ClientRequest,
  value = '',
  authorization = '',
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { ...headers, ...(authorization && { authorization }) },
    body: toBody(value),
  });
  return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() };
}

/**
 * Opens a socket as a published client does, lets it ping, says something, acknowledges the answer, and drops it without
 * a word. Resolves with the texts of the bot.
 */
export async function talk(url: string, protocols: string[], question: string): Promise<string[]> {
  const client = await openClient(url, protocols);
  assert.equal(client.ws.protocol, protocols[0] ?? '');
  client.ws.send(FRAMES.ping);
  await client.until(({ type }) => type === 'pong');
  // The second as after a retry, when the id is a text.
  client.ws.send(FRAMES.message(question, 1_795_203_764_491));
  const ack = await client.until(({ type }) => type === 'ack');
  assert.deepEqual(ack, { ok: true, replyto: 1_795_203_764_491, type: 'ack' });
  await client.until(
    ({ type, from, message }) =>
      type === 'bot_response' && from === 'bot' && message[0].cInfo.body === `You said: ${question}`,
  );
  client.ws.send(FRAMES.deliveryAck);
  client.ws.send(FRAMES.message(`${question} (again)`, '1795203764492'));
  assert.equal((await client.until(({ replyto }) => replyto === '1795203764492')).type, 'ack');
  await client.until(({ message }) => message?.[0].cInfo.body === `You said: ${question} (again)`);
  assert.ok(!client.frames.some(({ type }) => type === 'error'));
  client.ws.terminate();
  await client.closed;
  return client.texts();
}

/** What was said, oldest first, as the history answers it; templates are left out. */
export async function readHistory(url: string, authorization: string): Promise<string[]> {
  const response = await fetch(url, { headers: { authorization } });
  assert.equal(response.status, 200);
  const { messages } = (await response.json()) as {
    messages: readonly { readonly components: readonly [{ readonly data: { readonly text: string } }] }[];
  };
  return messages.map(({ components }) => components[0].data.text).filter((text) => !text.startsWith('{'));
}
