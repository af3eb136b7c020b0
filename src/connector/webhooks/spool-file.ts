import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';

import { isJsonObject, type JsonObject } from '../../core/json.ts';
import { sha256Hex } from '../../core/secret.ts';
import type { Fields } from '../../tunnel/messages.ts';
import { MAX_WEBHOOK_BYTES, WEBHOOK_ID } from '../../tunnel/services.ts';

/** What stands before the body in a file of the spool, in bytes. */
export const MAX_SPOOL_HEADER_BYTES = 32_768;

/** What is known of a message beside its body. */
export interface MessageHeader {
  readonly id: string;
  readonly target: string;
  /** Those that go with it. */
  readonly fields: Fields;
  /** Of the body. */
  readonly bytes: number;
  /** SHA-256 of the body, hexadecimal. */
  readonly digest: string;
  /** What stands for the key of whoever pushed it; absent where none was given. */
  readonly key?: string;
}

/** A file that is not what was written. */
export class SpoolFileError extends Error {
  override readonly name = 'SpoolFileError';
}

export const toDigest = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex');

/** One line, `<SHA-256 of the JSON> <JSON>`, and the body behind it. */
export function toSpoolFile(header: MessageHeader, body: Uint8Array): readonly Uint8Array[] {
  const json = JSON.stringify(header);
  return [Buffer.from(`${sha256Hex(json)} ${json}\n`), body];
}

/** @throws SpoolFileError, or what the file system throws */
export async function readHeader(path: string): Promise<MessageHeader> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(MAX_SPOOL_HEADER_BYTES);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    const { header, at } = parseHeader(buffer.subarray(0, bytesRead));
    if ((await file.stat()).size !== at + header.bytes) throw new SpoolFileError('the body is not whole');
    return header;
  } finally {
    await file.close();
  }
}

/** @throws SpoolFileError, or what the file system throws */
export async function readMessage(path: string): Promise<{ readonly header: MessageHeader; readonly body: Buffer }> {
  const content = await readFile(path);
  const { header, at } = parseHeader(content);
  const body = content.subarray(at);
  if (body.length !== header.bytes || toDigest(body) !== header.digest) {
    throw new SpoolFileError('the body is not what was written');
  }
  return { header, body };
}

function parseHeader(content: Buffer): { header: MessageHeader; at: number } {
  const end = content.indexOf(0x0a);
  const [, hash, json = ''] = /^([\da-f]{64}) (.*)$/.exec(content.toString('utf8', 0, Math.max(end, 0))) ?? [];
  if (hash === undefined || sha256Hex(json) !== hash) throw new SpoolFileError('the header is not what was written');
  const value: unknown = JSON.parse(json);
  if (!isJsonObject(value) || !isHeader(value)) throw new SpoolFileError('the header is of another version');
  return { header: value as unknown as MessageHeader, at: end + 1 };
}

function isHeader({ id, target, fields, bytes, digest, key }: JsonObject): boolean {
  const areTexts = [target, digest, ...(Array.isArray(fields) ? (fields as readonly unknown[]) : [undefined])].every(
    (one) => typeof one === 'string',
  );
  const isId = typeof id === 'string' && WEBHOOK_ID.test(id);
  const isSize = Number.isInteger(bytes) && (bytes as number) >= 0 && (bytes as number) <= MAX_WEBHOOK_BYTES;
  return areTexts && isId && isSize && (key === undefined || typeof key === 'string');
}
