import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { isIP } from 'node:net';

import { type AddressCheck, findAllowedAddresses, type Lookup, pinTo } from './destination.ts';
import { type OutboundUrl, parseOutboundUrl } from './url.ts';

/** All header fields of an answer together, in bytes. */
const MAX_ANSWER_HEAD_BYTES = 16_384;

/** A document that was not got. The message is for the log alone. */
export class GetTextError extends Error {
  override readonly name = 'GetTextError';
}

export interface GetTextDeps {
  readonly lookup: Lookup;
  /** Where a host may lead. */
  readonly mayReach: (host: string) => AddressCheck;
  /** PEM of the authorities that servers are verified by: Node's own and `NODE_EXTRA_CA_CERTS`, unless it is given. */
  readonly ca?: string;
}

/** How large an answer may be, in bytes, and how long all of it may take, in milliseconds. */
export interface GetTextLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/**
 * Gets a document by https, over a connection of its own. Nothing but 200 is an answer: redirects are not followed.
 * @throws GetTextError, DestinationError, UrlError, or what the connection failed with
 */
export type GetText = (url: string, limits: GetTextLimits) => Promise<string>;

/** A reader of documents whose addresses others may choose. */
export function createGetText({ lookup, mayReach, ca }: GetTextDeps): GetText {
  return async (text, { maxBytes, timeoutMs }) => {
    const url = parseOutboundUrl(text);
    if (!url.isSecure) throw new GetTextError('not https');
    const cut = new AbortController();
    const late = setTimeout(() => cut.abort(new GetTextError(`no whole answer within ${timeoutMs} ms`)), timeoutMs);
    try {
      return await Promise.race([whenAborted(cut.signal), get(url, maxBytes, cut.signal)]);
    } finally {
      clearTimeout(late);
      cut.abort();
    }
  };

  async function get(url: OutboundUrl, maxBytes: number, signal: AbortSignal): Promise<string> {
    const addresses = await findAllowedAddresses(url.host, mayReach(url.host), lookup);
    signal.throwIfAborted();
    const answer = await ask(url, pinTo(addresses), signal);
    if (answer.statusCode !== 200) throw new GetTextError(`the answer is ${answer.statusCode}, not 200`);
    const coding = answer.headers['content-encoding'] ?? 'identity';
    if (coding !== 'identity') throw new GetTextError('the answer is compressed');
    return read(answer, maxBytes);
  }

  function ask(url: OutboundUrl, pinned: ReturnType<typeof pinTo>, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      request({
        host: url.host,
        port: url.port,
        path: url.target,
        headers: { host: url.authority, accept: 'application/json', 'accept-encoding': 'identity' },
        agent: false,
        lookup: pinned,
        rejectUnauthorized: true,
        minVersion: 'TLSv1.2',
        maxHeaderSize: MAX_ANSWER_HEAD_BYTES,
        signal,
        ...(isIP(url.host) === 0 && { servername: url.host }),
        ...(ca !== undefined && { ca }),
      })
        .once('response', resolve)
        .on('error', reject)
        .end();
    });
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

async function read(answer: IncomingMessage, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBytes) throw new GetTextError(`the answer is larger than ${maxBytes} bytes`);
    parts.push(part);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
}
