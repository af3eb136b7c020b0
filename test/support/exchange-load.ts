import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';

import { createClaims, type Json, signToken } from './assertions.ts';
import type { CountersignProcess } from './processes.ts';

/** The admin token of every process that is driven here. */
export const ADMIN_TOKEN = 'the-admin-token-of-this-test-000';
/** What a process needs so that none of its limits but the store's is met. */
export const LOAD_ENVIRONMENT = {
  COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN,
  COUNTERSIGN_LOG_LEVEL: 'error',
  COUNTERSIGN_RATE_LIMIT_PER_MINUTE: '10000000',
} as const;
/** How long a refusal may take, in milliseconds: the 800 ms that the store has to answer, and room for a busy machine. */
export const REFUSAL_LIMIT_MS = 1_500;

const CLIENTS = 24;
const ANSWER_TIMEOUT_MS = 10_000;
/** What a client waits after a refusal, in milliseconds. */
const PAUSE_MS = 10;
/** When a store that serves again must have decided on an assertion, in milliseconds. */
const DECIDED_WITHIN_MS = 10_000;

/** A registered app and how to sign for it. */
export interface DrilledApp {
  readonly clientId: string;
  sign(changes?: Json): string;
}

/** What became of one presentation: granted with a bearer, refused with a status, or the connection broke. */
export type Presented =
  | { readonly kind: 'granted'; readonly bearer: string; readonly tookMs: number }
  | { readonly kind: 'refused'; readonly status: number; readonly text: string; readonly tookMs: number }
  | { readonly kind: 'broken'; readonly tookMs: number };

/** Registers an HS256 app. */
export async function registerApp({ idproxyUrl }: CountersignProcess): Promise<DrilledApp> {
  const response = await fetch(`${idproxyUrl}/admin/apps`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Drill', algorithm: 'HS256' }),
  });
  assert.equal(response.status, 201, await response.clone().text());
  const { clientId, clientSecret } = (await response.json()) as { clientId: string; clientSecret: string };
  const sign = (changes?: Json): string =>
    signToken({ alg: 'HS256', typ: 'JWT' }, createClaims(clientId, Date.now() / 1000, changes), 'HS256', clientSecret);
  return { clientId, sign };
}

/** Presents an assertion once. */
export async function present({ idproxyUrl }: CountersignProcess, assertion: string): Promise<Presented> {
  const startedAtMs = performance.now();
  try {
    const response = await fetch(`${idproxyUrl}/authorize`, {
      method: 'POST',
      body: new URLSearchParams({ assertion }),
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    const text = await response.text();
    const tookMs = performance.now() - startedAtMs;
    if (response.status !== 200) return { kind: 'refused', status: response.status, text, tookMs };
    return { kind: 'granted', bearer: (JSON.parse(text) as { access_token: string }).access_token, tookMs };
  } catch (error) {
    assert.notEqual((error as Error).name, 'TimeoutError', 'no answer at all');
    return { kind: 'broken', tookMs: performance.now() - startedAtMs };
  }
}

/** The status of a bearer's user info. */
export async function askUserInfo({ idproxyUrl }: CountersignProcess, bearer: string): Promise<number> {
  const headers = { authorization: `Bearer ${bearer}` };
  const response = await fetch(`${idproxyUrl}/api/1.1/userinfo`, { headers });
  await response.arrayBuffer();
  return response.status;
}

/** Waits until an idproxy says that it is ready. */
export async function untilServing({ idproxyUrl }: CountersignProcess, timeoutMs = 15_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const response = await fetch(`${idproxyUrl}/readyz`);
    const text = await response.text();
    if (response.status === 200) return;
    assert.ok(performance.now() < deadline, `not ready within ${timeoutMs} ms: ${text}`);
    await wait(10);
  }
}

/** Clients that fetch bearers as fast as they are answered, until they are stopped. */
export interface ExchangeLoad {
  /** Every assertion that was presented, and what was answered, in order. */
  readonly answers: ReadonlyMap<string, readonly Presented[]>;
  count(kind: Presented['kind']): number;
  /** Resolves when `enough` holds. */
  until(enough: () => boolean, what: string): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Sets a load on: each client presents fresh assertions, in turn to each idproxy; one that was granted is presented a second
 * time to the next one now and then, as whoever steals it would.
 */
export function startLoad(idproxies: readonly CountersignProcess[], app: DrilledApp): ExchangeLoad {
  const answers = new Map<string, Presented[]>();
  const counts = { granted: 0, refused: 0, broken: 0 };
  const stopped = new AbortController();
  let turn = 0;
  const next = (): CountersignProcess => idproxies[turn++ % idproxies.length] as CountersignProcess;
  const take = async (assertion: string): Promise<Presented> => {
    const answer = await present(next(), assertion);
    answers.set(assertion, [...(answers.get(assertion) ?? []), answer]);
    counts[answer.kind]++;
    return answer;
  };
  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const assertion = app.sign();
      const { kind } = await take(assertion);
      if (kind !== 'granted') await wait(PAUSE_MS);
      else if (turn % 5 === 0) await take(assertion);
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, run));
  return {
    answers,
    count: (kind) => counts[kind],
    until: async (enough, what) => {
      const deadline = performance.now() + 20_000;
      while (!enough()) {
        assert.ok(performance.now() < deadline, `${what}: ${JSON.stringify(counts)}`);
        await wait(5);
      }
    },
    stop: async () => {
      stopped.abort();
      await clients;
    },
  };
}

/** What a drill came to, over all assertions of a load. */
export interface DrillResult {
  readonly acknowledged: number;
  /** Assertions that were granted more often than once. */
  readonly grantedTwice: number;
  /** Acknowledged bearers that do not work any more. */
  readonly forgotten: number;
  /** Assertions that nobody was given a bearer for, and that were granted when they were presented once more. */
  readonly grantedLater: number;
  /** Assertions that nobody was given a bearer for, and that are refused as replays: the safe side of an unknown outcome. */
  readonly spent: number;
  /** The slowest refusal, in milliseconds. */
  readonly slowestRefusalMs: number;
}

/** Asks as a client does who was told neither yes nor no: again, while the answer is 503. */
async function untilDecided<T>(ask: () => Promise<T>, toStatus: (answer: T) => number): Promise<T> {
  const deadline = performance.now() + DECIDED_WITHIN_MS;
  for (;;) {
    const answer = await ask();
    if (toStatus(answer) !== 503) return answer;
    assert.ok(performance.now() < deadline, 'the store does not decide');
    await wait(PAUSE_MS);
  }
}
const toStatus = (answer: Presented): number => (answer.kind === 'refused' ? answer.status : 200);

const inBatches = async <T>(all: readonly T[], act: (one: T) => Promise<void>): Promise<void> => {
  for (let at = 0; at < all.length; at += CLIENTS) await Promise.all(all.slice(at, at + CLIENTS).map(act));
};

/**
 * Presents every assertion of a load twice more, each time until the store has decided, asks for every bearer, and counts. Every
 * refusal but 401 and 503 fails.
 */
export async function settle(load: ExchangeLoad, idproxy: CountersignProcess): Promise<DrillResult> {
  const result = { acknowledged: 0, grantedTwice: 0, forgotten: 0, grantedLater: 0, spent: 0, slowestRefusalMs: 0 };
  await inBatches([...load.answers], async ([assertion, answers]) => {
    const again = (): Promise<Presented> => untilDecided(() => present(idproxy, assertion), toStatus);
    const later = [await again(), await again()];
    const grants = [...answers, ...later].filter((answer) => answer.kind === 'granted');
    for (const answer of answers) {
      if (answer.kind !== 'refused') continue;
      assert.ok(answer.status === 401 || answer.status === 503, `${answer.status} ${answer.text}`);
      if (answer.status === 503) result.slowestRefusalMs = Math.max(result.slowestRefusalMs, answer.tookMs);
    }
    for (const answer of later)
      assert.ok(answer.kind === 'granted' || (answer.kind === 'refused' && answer.status === 401), describe(answer));
    const isAcknowledged = answers.some(({ kind }) => kind === 'granted');
    if (isAcknowledged) result.acknowledged++;
    else if (grants.length > 0) result.grantedLater++;
    else result.spent++;
    if (grants.length > 1) result.grantedTwice++;
    const statuses = await Promise.all(
      grants.map(({ bearer }) => untilDecided(() => askUserInfo(idproxy, bearer), Number)),
    );
    result.forgotten += statuses.filter((status) => status !== 200).length;
  });
  return result;
}

const describe = (answer: Presented): string =>
  answer.kind === 'refused' ? `${answer.status} ${answer.text}` : answer.kind;

/** The figures of a drill, for its diagnostic. */
export function describeResult(result: DrillResult): string {
  const { acknowledged, grantedTwice, forgotten, grantedLater, spent, slowestRefusalMs } = result;
  const figures = `${acknowledged} acknowledged, ${grantedTwice} granted twice, ${forgotten} forgotten`;
  return `${figures}, ${grantedLater} granted later, ${spent} spent; slowest refusal ${Math.round(slowestRefusalMs)} ms`;
}

/** Asserts what every drill owes: nothing granted twice, nothing acknowledged lost, refusals in time. */
export function assertUnharmed(result: DrillResult): void {
  assert.equal(result.grantedTwice, 0, describeResult(result));
  assert.equal(result.forgotten, 0, describeResult(result));
  assert.ok(result.slowestRefusalMs < REFUSAL_LIMIT_MS, describeResult(result));
}
