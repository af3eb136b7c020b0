import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { loadConfig } from '../config/load-config.ts';
import { MAX_AUDIT_PAGE, toAuditView } from '../http/audit-schemas.ts';
import type { AuditLine, AuditStore } from '../stores/ports.ts';
import { waitUntilReady } from '../stores/wait-until-ready.ts';
import { type Command, UsageError } from './command.ts';
import { openStore } from './runtime.ts';

const STORE_TIMEOUT_MS = 5_000;
/** How often new entries are looked for, in milliseconds. */
const FOLLOW_EVERY_MS = 1_000;
const DEFAULT_COUNT = 100;
const USAGE = 'audit [--since <time>] [--after <id>] [--limit <number>] [--follow]';

const OPTIONS = {
  since: { type: 'string' },
  after: { type: 'string' },
  limit: { type: 'string' },
  follow: { type: 'boolean' },
} as const;

/** `countersign audit`: who did what, a line of JSON each, straight from the store. */
export const auditCommand: Command = {
  usage: '[--since <time>] [--after <id>] [--limit <number>] [--follow]',
  summary: 'print the audit trail of administration, oldest first, a line of JSON each',
  options: [
    '--since <time>    from this time on: 2026-11-20 or 2026-11-20T08:00:00Z',
    '--after <id>      from behind the entry of this id',
    '--limit <number>  how many at most; without --since and --after the last ones, 100 where it is left out',
    '--follow          go on with what is added',
  ],
  run: async ({ args, env, print, stop }) => {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    const limit = parseLimit(values.limit);
    const sinceMs = parseTime(values.since);
    if (positionals.length > 0) throw new UsageError(USAGE);
    const { store } = await openStore(loadConfig(env, 'tools'), () => undefined);
    try {
      await waitUntilReady(store, STORE_TIMEOUT_MS);
      const { audit } = store;
      let last = values.after ?? '';
      const show = (line: AuditLine): void => {
        last = line.id;
        print(JSON.stringify(toAuditView(line)));
      };
      if (values.after === undefined && sinceMs === undefined) {
        for (const line of await readLast(audit, limit ?? DEFAULT_COUNT)) show(line);
      } else {
        let left = limit ?? Infinity;
        for await (const line of readFrom(audit, last)) {
          last = line.id;
          if (sinceMs !== undefined && !(readTimeMs(line) >= sinceMs)) continue;
          if (left-- <= 0) return;
          show(line);
        }
      }
      while (values.follow === true && !stop.aborted) {
        await wait(FOLLOW_EVERY_MS, undefined, { signal: stop }).catch(() => undefined);
        for await (const line of readFrom(audit, last)) show(line);
      }
    } finally {
      await store.close();
    }
  },
};

/** The last lines, oldest first. */
async function readLast(audit: AuditStore, count: number): Promise<AuditLine[]> {
  return (await audit.list({ limit: count, isNewestFirst: true })).toReversed();
}

/** All lines from behind `after`, a page at a time. */
async function* readFrom(audit: AuditStore, after: string): AsyncGenerator<AuditLine> {
  let page: AuditLine[];
  let last = after;
  do {
    page = await audit.list({ after: last, limit: MAX_AUDIT_PAGE });
    yield* page;
    last = page.at(-1)?.id ?? last;
  } while (page.length === MAX_AUDIT_PAGE);
}

function readTimeMs(line: AuditLine): number {
  const { at } = toAuditView(line) as { at?: unknown };
  return typeof at === 'string' ? Date.parse(at) : NaN;
}

function parseLimit(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new UsageError(`${USAGE}: --limit must be a whole number from 1`);
  return Number(text);
}

function parseTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(ms)) throw new UsageError(`${USAGE}: --since must be a time in ISO 8601`);
  return ms;
}
