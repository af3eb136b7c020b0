import type { Fields } from './messages.ts';

/** The body of one pushed webhook, in bytes. */
export const MAX_WEBHOOK_BYTES = 1_048_576;
/** What a gateway gives a webhook's target to answer, in milliseconds. */
export const WEBHOOK_TIMEOUT_MS = 20_000;
/** What an agent gives its gateway to answer for one of its services, in milliseconds: more than the gateway gives others. */
export const SERVICE_TIMEOUT_MS = 25_000;
/** The answer of a gateway's service, in bytes. */
export const MAX_SERVICE_ANSWER_BYTES = 65_536;
/** A certificate signing request, in bytes of PEM. */
export const MAX_REQUEST_PEM_BYTES = 16_384;
/** Header fields that a webhook keeps on its way, and their length together in characters. */
export const MAX_CARRIED_FIELDS = 32;
export const MAX_CARRIED_LENGTH = 8_192;

/** The field by which a webhook is the same however often it is sent. */
export const WEBHOOK_ID_FIELD = 'webhook-id';
/**
 * SECURITY: no full stop: what is signed is joined by them, and an id that held one could make one signature fit two
 * messages.
 */
export const WEBHOOK_ID = /^[\w-]{1,128}$/;

/** What says how a body is to be read and where it belongs; nothing that identifies anybody or opens anything. */
const CARRIED = /^(?:content-(?:type|encoding|language)|trace(?:parent|state)|ce-[a-z\d]{1,20})$/;

/** The fields of a webhook that go with it from the application to its target, names in lower case, each name once. */
export function toCarriedFields(fields: Fields): Fields {
  const carried = new Map<string, string>();
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = (fields[at] ?? '').toLowerCase();
    if (CARRIED.test(name)) carried.set(name, fields[at + 1] ?? '');
  }
  return [...carried].flat();
}

/** The value of a field. @returns undefined where it is missing */
export function findField(fields: Fields, name: string): string | undefined {
  for (let at = 0; at + 1 < fields.length; at += 2) if (fields[at]?.toLowerCase() === name) return fields[at + 1];
  return undefined;
}

const WEBHOOKS_PATH = '/webhooks/';

/** The path by which a gateway is asked to deliver to a target. */
export const toWebhookPath = (target: string): string => `${WEBHOOKS_PATH}${encodeURIComponent(target)}`;

/** The target of such a path. @returns undefined where it is none */
export function parseWebhookPath(path: string): string | undefined {
  if (!path.startsWith(WEBHOOKS_PATH)) return undefined;
  try {
    return decodeURIComponent(path.slice(WEBHOOKS_PATH.length));
  } catch {
    return undefined;
  }
}

/** The path by which a gateway is asked to sign a request for the connector that asks. */
export const RENEWAL_PATH = '/renewal';
