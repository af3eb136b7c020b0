/**
 * Posts bodies at a fixed rate, whether or not the answers come: `<url> <file of bodies> <seconds> <fields of the header as JSON>
 * <requests a second>`. A request's latency begins when it is due, so one that waits for a connection because others are slow counts as slow,
 * too (no coordinated omission). It looks at the clock in each turn of its event loop: a timer would be late by a millisecond.
 */
import { readFileSync } from 'node:fs';

import { createArrivalSchedule } from './arrival-schedule.ts';
import { type HttpConnection, openConnection, toRequest } from './http-connection.ts';
import { CONNECTION_COUNT } from './load.ts';
import { toQuantile } from './report.ts';

/** Requests that are due before are not counted, in milliseconds. */
const RUN_UP_MS = 1_000;
/** Until what is not answered counts as missing, from the moment at which the last request is due. */
const ANSWER_TIMEOUT_MS = 10_000;

const [address = '', bodiesFile = '', seconds = '', fields = '{}', rate = ''] = process.argv.slice(2);
const url = new URL(address);
const header = JSON.parse(fields) as Readonly<Record<string, string>>;
const schedule = createArrivalSchedule(Number(rate), Number(seconds));
const requests = readFileSync(bodiesFile, 'utf8')
  .trimEnd()
  .split('\n')
  .map((body) => toRequest(url, header, body));

const latenciesMs: number[] = [];
let answeredCount = 0;
const idle: HttpConnection[] = [];
const dueMs = new Map<HttpConnection, number>();
let sentCount = 0;
let refusedCount = 0;
let brokenCount = 0;
let startedAt = 0;

const connections = await Promise.all(
  Array.from({ length: CONNECTION_COUNT }, () =>
    openConnection({
      url,
      onAnswer: (connection, status) => {
        note(performance.now() - startedAt, dueMs.get(connection) ?? NaN);
        if (status < 200 || status > 299) refusedCount += 1;
        idle.push(connection);
      },
      onBroken: () => void (brokenCount += 1),
    }),
  ),
);
idle.push(...connections);

/** The load itself is slow while its code is compiled, and so is a server that was idle: the first requests do not count. */
function note(nowMs: number, requestDueMs: number): void {
  answeredCount += 1;
  if (requestDueMs >= RUN_UP_MS) latenciesMs.push(nowMs - requestDueMs);
}

function sendDue(): void {
  const dueCount = schedule.countDue(performance.now() - startedAt);
  while (sentCount < dueCount) {
    const connection = idle.pop();
    const request = requests[sentCount % requests.length];
    if (connection === undefined || request === undefined) return;
    dueMs.set(connection, schedule.toDueMs(sentCount));
    sentCount += 1;
    connection.send(request);
  }
}

await new Promise<void>((done) => {
  startedAt = performance.now();
  const deadlineMs = Number(seconds) * 1000 + ANSWER_TIMEOUT_MS;
  const turn = (): void => {
    sendDue();
    const isOver = answeredCount + brokenCount >= schedule.count || performance.now() - startedAt > deadlineMs;
    if (isOver) done();
    else setImmediate(turn);
  };
  turn();
});

for (const connection of connections) connection.close();
const line = {
  requestCount: answeredCount,
  refusedCount,
  failedCount: schedule.count - answeredCount,
  sentCount,
  p50Ms: toQuantile(latenciesMs, 0.5),
  p99Ms: toQuantile(latenciesMs, 0.99),
  maxMs: toQuantile(latenciesMs, 1),
};
console.log(JSON.stringify(line));
