import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { createToken } from '../../src/core/ids.ts';
import { type CountersignProcess, createTempFolder, startCountersign } from '../support/processes.ts';

export type Json = Record<string, unknown>;

/** An issuer's client. */
export const ISSUER = { COUNTERSIGN_CLIENT_ID: 'cs-1', COUNTERSIGN_CLIENT_SECRET: createToken(32) };

/** An empty folder that goes with its test. */
export async function makeFolder(t: TestContext): Promise<string> {
  const folder = await createTempFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A running program that goes with its test. */
export async function start(
  t: TestContext,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CountersignProcess> {
  const process = await startCountersign(args, env);
  t.after(() => process.stop());
  return process;
}

/** Posts JSON. */
export async function post(
  url: string,
  body: object,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Json }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Json };
}

/** That a text holds each of these sentences; the message names the one that is missing. */
export function assertSays(text: string, ...sentences: readonly string[]): void {
  for (const sentence of sentences) assert.ok(text.includes(sentence), `"${sentence}" is not in:\n${text}`);
}

/** Polls until `isThere` says yes; a refusal to connect counts as no. */
export async function waitFor(isThere: () => Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await isThere().catch(() => false))) {
    assert.ok(performance.now() < end, `not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The settings of both folders. */
export const toFolders = (folder: string) => ({
  COUNTERSIGN_DATA_DIR: join(folder, 'data'),
  COUNTERSIGN_KEYS_DIR: join(folder, 'keys'),
});

/** Admin tokens that were printed. */
export const readTokens = (text: string): string[] =>
  [...text.matchAll(/admin token[^:\n]*: (\S+)/g)].map(([, token = '']) => token);
