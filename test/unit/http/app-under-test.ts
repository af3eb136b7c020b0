import { Writable } from 'node:stream';
import type { TestContext } from 'node:test';

import type { Express } from 'express';
import { pino } from 'pino';

import { type AppDeps, createApp } from '../../../src/http/create-app.ts';
import { createMetrics, type Metrics } from '../../../src/http/metrics.ts';
import type { Shortcut } from '../../../src/http/shortcuts.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../../src/http/server.ts';

/** One line of the log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** An app of the product's kind with a test's own routes, on a free port. */
export interface AppUnderTest {
  readonly server: RunningServer;
  readonly url: string;
  readonly port: number;
  readonly metrics: Metrics;
  readonly lines: () => LogLine[];
  /** Waits until a line fits. */
  readonly line: (fits: (line: LogLine) => boolean) => Promise<LogLine>;
}

/** A logger that keeps its lines. */
export function createKeptLog() {
  const lines: LogLine[] = [];
  const waiting = new Set<() => void>();
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      for (const text of chunk.toString().trim().split('\n')) lines.push(JSON.parse(text) as LogLine);
      waiting.forEach((look) => look());
      done();
    },
  });
  const line = (fits: (line: LogLine) => boolean): Promise<LogLine> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no such line in ${JSON.stringify(lines)}`)), 8_000);
      const look = (): void => {
        const found = lines.find(fits);
        if (found === undefined) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  return { logger: pino({ level: 'trace', base: null }, sink), lines: () => lines, line };
}

/** Starts it; `deps` changes what the test is about. */
export async function startApp(
  t: TestContext,
  mount: (app: Express) => void,
  deps: Partial<AppDeps> = {},
  options?: ServerOptions,
  shortcuts: readonly Shortcut[] = [],
): Promise<AppUnderTest> {
  const { logger, lines, line } = createKeptLog();
  const metrics = createMetrics();
  const all = {
    name: 'test',
    logger,
    metrics,
    metricsToken: undefined,
    checks: {},
    trustProxy: false as const,
    ...deps,
  };
  const server = await startServer(createApp(all, mount, shortcuts), { host: '127.0.0.1', port: 0 }, options);
  t.after(() => server.close());
  return { server, url: server.url, port: server.port, metrics, lines, line };
}
