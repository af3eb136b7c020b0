/** The application that all tunnels lead to, a process of its own: `node tunnel-origin.js <port>`. */
import { createServer } from 'node:http';

const SMALL = Buffer.from('{"ok":true}');
const MEDIUM = Buffer.alloc(10_240, 'x');
const PART = Buffer.alloc(65_536, 'x');
/** What `/large` answers, in parts: 100 MiB. */
const PART_COUNT = 1_600;

const BODIES: Readonly<Record<string, Buffer>> = { '/small': SMALL, '/medium': MEDIUM };

const server = createServer((request, response) => {
  const body = BODIES[request.url ?? ''];
  if (body !== undefined) {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
    return;
  }
  if (request.method === 'PUT') {
    request.on('data', () => undefined).once('end', () => response.writeHead(204).end());
    return;
  }
  response.writeHead(200, { 'Content-Length': PART.length * PART_COUNT });
  let sent = 0;
  const send = (): void => {
    while (sent < PART_COUNT) {
      sent += 1;
      if (!response.write(PART)) return;
    }
    response.end();
  };
  response.on('drain', send);
  send();
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.argv[2]), '127.0.0.1');
