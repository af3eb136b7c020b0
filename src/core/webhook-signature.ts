import { createHash, createHmac } from 'node:crypto';

import type { Secret } from './secret.ts';

const PREFIX = 'whsec_';

/**
 * The HMAC key of a webhook secret: the bytes behind `whsec_`, which are base64, or else the text as it is
 * (Standard Webhooks 1.0, "Signature scheme").
 */
export function toSigningKey(secret: Secret): Buffer {
  const text = secret.reveal();
  return text.startsWith(PREFIX) ? Buffer.from(text.slice(PREFIX.length), 'base64') : Buffer.from(text);
}

/** Who asks and when: the header fields of one attempt. */
export interface SignedHeaders {
  readonly 'webhook-id': string;
  /** In seconds since the epoch, as text. */
  readonly 'webhook-timestamp': string;
  readonly 'webhook-signature': string;
}

/** Signs one attempt to deliver `body`. `atSeconds` is when it is made, not when the message came. */
export function signWebhook(key: Uint8Array, id: string, atSeconds: number, body: string | Uint8Array): SignedHeaders {
  const timestamp = String(Math.floor(atSeconds));
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}

/**
 * A webhook id that is the same whenever the same body goes to the same place.
 * SECURITY: a hash, never a client's own id: what is signed is joined by full stops, and an id that held one could
 * make one signature fit two requests. All of the body counts, so that a client which numbers its messages from one
 * again gets its second conversation through a receiver that drops ids it has seen.
 */
export function toWebhookId(body: string): string {
  return `msg_${createHash('sha256').update(body).digest('base64url')}`;
}
