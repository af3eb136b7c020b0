// Serves the page, with the client of `npm run build` beside it. Any web server does the same.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const { ISSUER_URL = 'http://127.0.0.1:3000', IDPROXY_URL = 'http://127.0.0.1:4000', PORT = '8080' } = process.env;
const settings = JSON.stringify({ issuerUrl: ISSUER_URL, idproxyUrl: IDPROXY_URL });
const CLIENT = new URL('../../dist/client/', import.meta.url);

async function find(path) {
  if (path === '/') return ['text/html; charset=utf-8', await readFile(new URL('index.html', import.meta.url))];
  if (path === '/settings.json') return ['application/json', settings];
  const [, name] = /^\/client\/([a-z-]+\.js)$/.exec(path) ?? [];
  return name && ['text/javascript', await readFile(new URL(name, CLIENT))];
}

async function handle(req, res) {
  const found = await find(req.url ?? '').catch(() => undefined);
  if (!found) return res.writeHead(404).end();
  return res.writeHead(200, { 'content-type': found[0] }).end(found[1]);
}

const server = createServer((req, res) => void handle(req, res));
server.listen(Number(PORT), '127.0.0.1', () => process.stdout.write(`listening on ${server.address().port}\n`));
