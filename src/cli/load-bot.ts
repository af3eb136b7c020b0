import { pathToFileURL } from 'node:url';

import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/config-error.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../http/access-log.ts';
import type { Bot } from '../sessions/bots/bot.ts';
import { createEchoBot } from '../sessions/bots/echo-bot.ts';
import { createGuardedBot, findBotProblem } from '../sessions/bots/guarded-bot.ts';
import { createWebhookBot } from '../sessions/bots/webhook-bot.ts';

/** How long a module may take to be loaded and to make its bot, in milliseconds. */
export const MODULE_TIMEOUT_MS = 10_000;

/** What of the configuration concerns the bot. */
export type BotConfig = Pick<Config, 'bot' | 'botWebhookUrl' | 'botWebhookSecret' | 'botModule'>;

/** What a bot may be made of. */
export interface LoadBotDeps {
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a module may take to be loaded and to make its bot. Absent: {@link MODULE_TIMEOUT_MS}. */
  readonly moduleTimeoutMs?: number;
}

/** What a module's `createBot` is handed. */
export interface ModuleBotDeps {
  /** Writes into the log of the server, with `bot: "module"` in every line. */
  readonly logger: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
}

/**
 * The configured bot.
 * @returns undefined where there is none: no real-time sessions then
 * @throws ConfigError where a module cannot be loaded or makes no bot
 */
export async function loadBot(config: BotConfig, deps: LoadBotDeps): Promise<Bot | undefined> {
  const { bot: mode, botWebhookUrl: url, botWebhookSecret: secret, botModule: path } = config;
  if (mode === 'echo') return createEchoBot();
  if (mode === 'webhook' && url !== undefined && secret !== undefined) return createWebhookBot({ url, secret }, deps);
  if (mode === 'module' && path !== undefined) return createGuardedBot(await loadModule(path, deps));
  return undefined;
}

async function loadModule(path: string, { logger, moduleTimeoutMs = MODULE_TIMEOUT_MS }: LoadBotDeps): Promise<Bot> {
  const deps: ModuleBotDeps = { logger: logger.child({ bot: 'module' }) };
  const made = await inTime(makeBot(path, deps), moduleTimeoutMs).catch((error: unknown) => {
    throw moduleError(error instanceof Error ? error.message : String(error));
  });
  const problem = findBotProblem(made);
  if (problem !== undefined) throw moduleError(`its bot ${problem}`);
  return made as Bot;
}

async function makeBot(path: string, deps: ModuleBotDeps): Promise<unknown> {
  const { href } = pathToFileURL(path);
  const { createBot, bot } = (await import(href)) as Readonly<Record<string, unknown>>;
  if (typeof createBot === 'function') return (createBot as (deps: ModuleBotDeps) => unknown)(deps);
  if (createBot === undefined && bot !== undefined) return bot;
  throw new Error('exports neither a function createBot(deps) nor a bot');
}

function moduleError(problem: string): ConfigError {
  return new ConfigError([`COUNTERSIGN_BOT_MODULE: the module cannot be used: ${problem}`]);
}

async function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const problem = new Error(`makes no bot within ${timeoutMs} ms`);
    timer = setTimeout(() => reject(problem), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
