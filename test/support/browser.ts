import { chromium, type Browser, type Page } from 'playwright-core';

/** Debian's Chromium; the test run installs it where it is missing. */
const EXECUTABLE = '/usr/bin/chromium';

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Nothing leaves this machine: no other name than the loopback address can be resolved.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

/** Starts a real Chromium with a fresh profile. Whoever starts it closes it. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE, args: ARGS });
}

/** One request of a page and its answer. */
export interface Exchange {
  readonly method: string;
  readonly url: string;
  readonly path: string;
  readonly requestHeaders: Readonly<Record<string, string>>;
  readonly requestBody: string;
  readonly status: number;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly responseBody: string;
}

/** A page of a profile of its own, and everything that was heard of it. */
export interface WatchedPage {
  readonly page: Page;
  /** Uncaught errors of its scripts, but for the one that the published chat client throws by itself. */
  readonly uncaught: readonly string[];
  /** Errors in its console; a violated policy and an answer of 4xx or 5xx are among them. */
  readonly consoleErrors: readonly string[];
  /** Finished requests in the order of their answers. Chromium shows no preflights here. */
  readonly exchanges: readonly Exchange[];
  /** Resolves with the `count`-th finished exchange on that path. @throws when it does not come within `timeoutMs` */
  waitForExchange(path: string, count?: number, timeoutMs?: number): Promise<Exchange>;
}

interface Waiter {
  readonly path: string;
  readonly count: number;
  readonly found: (exchange: Exchange) => void;
}

const WAIT_MS = 30_000;

/**
 * What the published chat client throws by itself, whoever its server is: with each message that it has drawn it looks
 * for its image preview, and finds none where the message came while its document was being exchanged. The message is
 * drawn by then; the tests assert by what is in the window that nothing is lost.
 */
const OWN_FAULT_OF_CHAT = /^TypeError: .*'onclick'\)\n\s+at \S*handleImagePreview /;

/** Opens an empty page in a new context of `browser` and listens to it. */
export async function openWatchedPage(browser: Browser): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const uncaught: string[] = [];
  const consoleErrors: string[] = [];
  const exchanges: Exchange[] = [];
  const waiters = new Set<Waiter>();
  const findNth = (path: string, count: number): Exchange | undefined =>
    exchanges.filter((exchange) => exchange.path === path)[count - 1];

  page.on('pageerror', (error) => {
    const text = error.stack ?? error.message;
    if (!OWN_FAULT_OF_CHAT.test(text)) uncaught.push(text);
  });
  page.on('console', (message) => {
    if (message.type() === 'error') consoleErrors.push(`${message.text()} (${message.location().url})`);
  });
  page.on('requestfinished', async (request) => {
    const response = await request.response();
    const body = await response?.body().catch(() => Buffer.alloc(0));
    exchanges.push({
      method: request.method(),
      url: request.url(),
      path: new URL(request.url()).pathname,
      requestHeaders: request.headers(),
      requestBody: request.postData() ?? '',
      status: response?.status() ?? 0,
      responseHeaders: response?.headers() ?? {},
      responseBody: body?.toString() ?? '',
    });
    for (const waiter of waiters) {
      const found = findNth(waiter.path, waiter.count);
      if (found) waiter.found(found);
    }
  });

  const waitForExchange = async (path: string, count = 1, timeoutMs = WAIT_MS): Promise<Exchange> => {
    const there = findNth(path, count);
    if (there) return there;
    return new Promise((done, fail) => {
      const timer = setTimeout(() => {
        waiters.delete(waiter);
        const seen = exchanges.map(({ method, url, status }) => `${method} ${url} ${status}`);
        fail(
          new Error(`no exchange ${count} on ${path}; seen:\n${[...seen, ...consoleErrors, ...uncaught].join('\n')}`),
        );
      }, timeoutMs);
      const waiter: Waiter = {
        path,
        count,
        found: (exchange) => {
          clearTimeout(timer);
          waiters.delete(waiter);
          done(exchange);
        },
      };
      waiters.add(waiter);
    });
  };
  return { page, uncaught, consoleErrors, exchanges, waitForExchange };
}
