/** Does with autocannon what wrk.lua does with wrk: `<url> <file of JSON bodies> <seconds>`. */
import { readFileSync } from 'node:fs';

import autocannon from 'autocannon';

import { CONNECTION_COUNT } from './load.ts';

const [url = '', bodiesFile = '', durationSeconds = ''] = process.argv.slice(2);
const bodies = readFileSync(bodiesFile, 'utf8').trimEnd().split('\n');
let at = 0;

const result = await autocannon({
  url,
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  connections: CONNECTION_COUNT,
  duration: Number(durationSeconds),
  requests: [
    {
      setupRequest: (request) => {
        at = (at + 1) % bodies.length;
        return { ...request, body: bodies[at] ?? '' };
      },
    },
  ],
});

const { requests, duration, non2xx, errors, timeouts } = result;
const line = {
  requestCount: requests.total,
  durationSeconds: duration,
  refusedCount: non2xx,
  failedCount: errors + timeouts,
};
console.log(JSON.stringify(line));
