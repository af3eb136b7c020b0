/** Does with autocannon what wrk.lua does with wrk: `<url> <file of bodies> <seconds> <fields of the header as JSON>`. */
import { readFileSync } from 'node:fs';

import autocannon from 'autocannon';

import { CONNECTION_COUNT } from './load.ts';

const [url = '', bodiesFile = '', durationSeconds = '', fields = '{}'] = process.argv.slice(2);
const bodies = readFileSync(bodiesFile, 'utf8').trimEnd().split('\n');
let sentCount = 0;

const result = await autocannon({
  url,
  method: 'POST',
  headers: JSON.parse(fields) as Readonly<Record<string, string>>,
  connections: CONNECTION_COUNT,
  duration: Number(durationSeconds),
  requests: [
    {
      setupRequest: (request) => {
        const body = bodies[sentCount % bodies.length] ?? '';
        sentCount += 1;
        return { ...request, body };
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
  sentCount,
};
console.log(JSON.stringify(line));
