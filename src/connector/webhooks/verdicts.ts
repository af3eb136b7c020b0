import type { ServiceReply } from '../service-call.ts';
import { findField } from '../../tunnel/services.ts';

/** What becomes of a message after an attempt. */
export type Verdict =
  | { readonly kind: 'delivered' | 'refused'; readonly status: number; readonly why: string }
  /** It may be better later; not before so many milliseconds where somebody asked for that. */
  | { readonly kind: 'later'; readonly status: number | undefined; readonly why: string; readonly notBeforeMs: number }
  /** No gateway was asked. */
  | { readonly kind: 'disconnected'; readonly why: string };

/** Statuses of a target by which it asks for another attempt, beside those from 500 on. */
const LATER = new Set([408, 425, 429]);
/** Faults of the gateway's that another attempt would have again. */
const HOPELESS = new Set(['invalid_request', 'body_too_large']);

/** What an answer means. The gateway's own failures are told apart from the target's by their code. */
export function toVerdict(reply: ServiceReply | undefined): Verdict {
  if (reply === undefined) return { kind: 'disconnected', why: 'no gateway is connected' };
  const { status, connectorError } = reply;
  const why =
    connectorError === undefined ? `the target answered ${status}` : `${connectorError}: ${toSentence(reply)}`;
  if (status >= 200 && status < 300) return { kind: 'delivered', status, why };
  const isHopeless =
    connectorError === undefined ? status >= 400 && status < 500 && !LATER.has(status) : HOPELESS.has(connectorError);
  if (isHopeless) return { kind: 'refused', status, why };
  const seconds = Number(findField(reply.fields, 'retry-after') ?? 0);
  return { kind: 'later', status, why, notBeforeMs: Number.isFinite(seconds) ? seconds * 1_000 : 0 };
}

/** The sentence of an error body. */
function toSentence({ body, status }: ServiceReply): string {
  try {
    const { errors } = JSON.parse(body) as { readonly errors?: readonly { readonly msg?: string }[] };
    return errors?.[0]?.msg ?? String(status);
  } catch {
    return String(status);
  }
}
