/**
 * A process of its own on one database file, for the drills.
 *
 *   embedded-worker.js <file> loop           exchanges for ever; prints each key whose grant was acknowledged
 *   embedded-worker.js <file> race <keys>    waits for the document "go", exchanges every key, prints each outcome
 *   embedded-worker.js <file> fill           exchanges until it is refused, then the refused key until it is granted
 *   embedded-worker.js <file> end            ends one thing of each kind; prints kind and id of each
 */
import { setTimeout as wait } from 'node:timers/promises';

import { systemClock } from '../../src/core/clock.ts';
import { AppError } from '../../src/core/errors.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { createAttempt, randomKey } from './attempts.ts';

const BURST = 16;
const [path = '', mode = '', keyList = ''] = process.argv.slice(2);
const print = (...words: string[]): void => void process.stdout.write(`${words.join(' ')}\n`);
const store = createEmbeddedStore({ path, clock: systemClock });

/** The record of `stem` and its session bear the same name. */
const toAttempt = (stem: string) =>
  createAttempt({ sessionKey: stem, body: `${stem} `.repeat(4), replay: { key: `jti:v1:${stem}` } });

/** The outcome, asked for again for as long as the file is too busy. */
async function exchange(stem: string): Promise<string> {
  for (;;) {
    try {
      return (await store.sessions.exchange(toAttempt(stem))).kind;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'store_unavailable') throw error;
    }
  }
}

async function loop(): Promise<never> {
  for (;;) {
    const stems = Array.from({ length: BURST }, randomKey);
    await Promise.all(stems.map(async (stem) => print(await exchange(stem), stem)));
  }
}

async function race(): Promise<void> {
  print('ready');
  while ((await store.documents.get('apps', 'go')) === undefined) await wait(1);
  const stems = keyList.split(',');
  while (stems.length > 0) {
    const burst = stems.splice(0, BURST);
    await Promise.all(burst.map(async (stem) => print(await exchange(stem), stem)));
  }
  await store.close();
}

async function fill(): Promise<void> {
  for (;;) {
    const stem = randomKey();
    try {
      print((await store.sessions.exchange(toAttempt(stem))).kind, stem);
    } catch (error) {
      print(error instanceof AppError ? error.code : String(error), stem);
      print(await exchange(stem), stem);
      await store.close();
      return;
    }
  }
}

async function end(): Promise<void> {
  const revoked = createAttempt();
  const removed = createAttempt();
  const guest = createAttempt({ identity: { isKept: false } });
  const sub = createAttempt();
  for (const attempt of [revoked, removed, guest, sub]) await store.sessions.exchange(attempt);
  await store.sessions.revoke(revoked.tag, revoked.session.key);
  await store.identities.remove(removed.identity.id);
  const merge = { ids: [guest.identity.id], needsProof: false };
  await store.sessions.exchange(createAttempt({ identity: { id: sub.identity.id, merge } }));
  print('session', `${revoked.tag}.${revoked.session.key}`);
  print('identity', removed.identity.id);
  print('conversation', sub.identity.conversation);
  print('identity', guest.identity.id);
  await store.close();
}

const MODES: Record<string, () => Promise<void>> = { loop, race, fill, end };
await (MODES[mode] ?? (() => Promise.reject(new TypeError(`unknown mode: ${mode}`))))();
