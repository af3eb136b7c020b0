import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { type BotConfig, loadBot, type LoadBotDeps } from '../../../src/cli/load-bot.ts';
import { ConfigError } from '../../../src/config/config-error.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { Secret } from '../../../src/core/secret.ts';
import { createLogger } from '../../../src/http/access-log.ts';
import { createTempFolder } from '../../support/processes.ts';
import { createBotSession, isBotError } from '../sessions/bots/bot-session.ts';

const MESSAGE = { id: '1', text: 'hello' };
const none = new AbortController().signal;
const session = createBotSession();
const deps = { fetch, clock: systemClock, logger: createLogger('silent') };

const NOTHING: BotConfig = { bot: 'none', botWebhookUrl: undefined, botWebhookSecret: undefined, botModule: undefined };
let folder: string;
let count = 0;
before(async () => {
  folder = await createTempFolder();
});
after(() => rm(folder, { recursive: true, force: true }));

/** A module bot of that source. */
async function loadModule(source: string, moduleDeps: LoadBotDeps = deps) {
  const botModule = join(folder, `bot-${++count}.mjs`);
  await writeFile(botModule, source);
  return loadBot({ ...NOTHING, bot: 'module', botModule }, moduleDeps);
}

const saysOfModule =
  (problem: RegExp) =>
  (error: unknown): boolean =>
    error instanceof ConfigError &&
    error.problems.length === 1 &&
    (error.problems[0] ?? '').startsWith('COUNTERSIGN_BOT_MODULE: the module cannot be used: ') &&
    problem.test(error.problems[0] ?? '');

describe('loadBot', () => {
  it('makes the bot that is configured', async () => {
    assert.equal(await loadBot(NOTHING, deps), undefined);
    assert.equal((await loadBot({ ...NOTHING, bot: 'echo' }, deps))?.name, 'echo');
    const botWebhookSecret = new Secret('a w3bhook secret of 32 characters');
    const webhook = { ...NOTHING, bot: 'webhook', botWebhookUrl: 'http://127.0.0.1/', botWebhookSecret } as const;
    assert.equal((await loadBot(webhook, deps))?.name, 'webhook');
  });

  it('loads a module that exports a bot', async () => {
    const bot = await loadModule(`export const bot = {
      name: 'mine', text: 'hi',
      async onMessage(session, message) { return [{ text: this.text + ' ' + message.text + ' ' + session.userId }]; },
    };`);
    assert.equal(bot?.name, 'mine');
    assert.equal(bot?.onStart, undefined);
    assert.deepEqual(await bot?.onMessage(session, MESSAGE, none), [{ text: 'hi hello u-1' }]);
  });

  it('loads a module that makes one, soon or later, and hands it a logger', async () => {
    for (const word of ['', 'async ']) {
      const bot = await loadModule(`export ${word}function createBot({ logger }) {
        logger.info('made');
        return { name: 'made', onStart: () => [{ text: typeof logger.warn }], onMessage: () => [] };
      }`);
      assert.deepEqual(await bot?.onStart?.(session, none), [{ text: 'function' }]);
    }
  });

  it('takes a path from where the server was started, and a name with odd characters', async () => {
    const path = join(folder, 'my bot #1?%.mjs');
    await writeFile(path, "export const bot = { name: 'odd', onMessage: () => [] };");
    const config = { ...NOTHING, bot: 'module', botModule: relative(process.cwd(), path) } as const;
    assert.equal((await loadBot(config, deps))?.name, 'odd');
  });

  const REFUSED: Readonly<Record<string, { source: string; says: RegExp }>> = {
    'one that throws at load': { source: "throw new Error('no database')", says: /no database$/ },
    'one that throws no error': { source: "throw 'odd'", says: /odd$/ },
    'one that is no JavaScript': { source: 'export const bot = {', says: /Unexpected/ },
    'one that imports what is not there': {
      source: "import 'no-such-package-of-ours'",
      says: /no-such-package-of-ours/,
    },
    'one that exports nothing': { source: '', says: /exports neither/ },
    'one that exports something else': { source: 'export default {}; export const Bot = {}', says: /exports neither/ },
    'a createBot that is no function': {
      source: 'export const createBot = {}; export const bot = {}',
      says: /neither/,
    },
    'a createBot that throws': { source: "export function createBot() { throw new Error('no key') }", says: /no key$/ },
    'a createBot that rejects': {
      source: "export async function createBot() { throw new Error('no key') }",
      says: /no key$/,
    },
    'a createBot that returns nothing': { source: 'export function createBot() {}', says: /its bot is no object$/ },
    'a bot that is none': { source: 'export const bot = 1', says: /its bot is no object$/ },
    'a bot without a name': { source: 'export const bot = { onMessage() {} }', says: /its bot has no name$/ },
    'a bot that cannot answer': {
      source: "export const bot = { name: 'a' }",
      says: /its bot has no function onMessage/,
    },
    'a bot that cannot start': {
      source: "export const bot = { name: 'a', onMessage() {}, onStart: true }",
      says: /its bot has an onStart that is no function$/,
    },
  };
  for (const [name, { source, says }] of Object.entries(REFUSED)) {
    it(`refuses ${name}`, async () => {
      await assert.rejects(loadModule(source), saysOfModule(says));
    });
  }

  it('refuses a path where nothing is', async () => {
    const config = { ...NOTHING, bot: 'module', botModule: join(folder, 'not-there.mjs') } as const;
    await assert.rejects(loadBot(config, deps), saysOfModule(/not-there\.mjs/));
  });

  for (const [name, source] of Object.entries({
    'while it is loaded': 'await new Promise(() => undefined);',
    'while it makes its bot': 'export const createBot = () => new Promise(() => undefined);',
  })) {
    it(`refuses a module that hangs ${name}`, async () => {
      await assert.rejects(loadModule(source, { ...deps, moduleTimeoutMs: 50 }), saysOfModule(/no bot within 50 ms$/));
    });
  }

  it('survives a module that throws, hangs or talks nonsense when it is asked', async () => {
    const throws = await loadModule("export const bot = { name: 'a', onMessage() { throw new Error('of the bot') } }");
    await assert.rejects(async () => throws?.onMessage(session, MESSAGE, none), /of the bot/);
    const nonsense = await loadModule("export const bot = { name: 'a', onMessage: () => 'hello' }");
    await assert.rejects(async () => nonsense?.onMessage(session, MESSAGE, none), isBotError(/another form/));
    const hangs = await loadModule("export const bot = { name: 'a', onMessage: () => new Promise(() => {}) }");
    const control = new AbortController();
    setTimeout(() => control.abort(), 20);
    await assert.rejects(
      async () => hangs?.onMessage(session, MESSAGE, control.signal),
      isBotError(/did not answer in time/),
    );
  });
});
