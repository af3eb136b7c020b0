import { createReadStream, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline, Readable, Writable } from 'node:stream';

import cors from 'cors';
import express from 'express';
import { rateLimit } from 'express-rate-limit';
import helmet from 'helmet';
import { pinoHttp } from 'pino-http';

import { type ExpressBehaviour, get, showError } from './express-behaviour.ts';
import { toRequest } from './raw-http.ts';

const folder = mkdtempSync(join(tmpdir(), 'countersign-express-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'page.txt');
writeFileSync(file, 'a page\n'.repeat(20));
const KNOWN_TIME = new Date('2026-01-02T03:04:05Z');
utimesSync(file, KNOWN_TIME, KNOWN_TIME);

/** Files, streams, failures, connections, and what others build on them. */
export const TRANSFER_BEHAVIOURS: Readonly<Record<string, ExpressBehaviour>> = {
  'an etag': { mount: (app) => app.get('/', (_req, res) => void res.send('text')), send: get(), expected: /ETag: W\// },
  'an etag that matches': {
    mount: (app) => app.set('etag', () => '"e"').get('/', (_req, res) => void res.send('text')),
    send: get('/', 'If-None-Match: "e"'),
    expected: /304 Not Modified/,
  },
  'res.sendFile': {
    mount: (app) => app.get('/', (_req, res) => res.sendFile(file)),
    send: get(),
    expected: /Last-Modified: Fri, 02 Jan 2026 03:04:05 GMT[^]*a page/,
  },
  'res.sendFile, a range': {
    mount: (app) => app.get('/', (_req, res) => res.sendFile(file)),
    send: get('/', 'Range: bytes=0-3'),
    expected: /206 Partial Content[^]*a pa$/,
  },
  'res.sendFile of nothing': {
    mount: (app) => app.get('/', (_req, res, next) => res.sendFile(join(folder, 'none'), next)).use(showError),
    send: get(),
    expected: /ENOENT/,
  },
  'res.download': {
    mount: (app) => app.get('/', (_req, res) => res.download(file)),
    send: get(),
    expected: /attachment; filename=page\.txt/,
  },
  'express.static': {
    mount: (app) => app.use(express.static(folder)),
    send: get('/page.txt'),
    expected: /text\/plain; charset=utf-8[^]*a page/,
  },
  'express.static outside its folder': {
    mount: (app) => app.use(express.static(folder)),
    send: get('/../../etc/passwd'),
    expected: /40[34]/,
  },
  'a stream piped': {
    mount: (app) => app.get('/', (_req, res) => void createReadStream(file).pipe(res.type('text'))),
    send: get(),
    expected: /Transfer-Encoding: chunked/,
  },
  'a stream through pipeline': {
    mount: (app) => app.get('/', (_req, res) => pipeline(Readable.from(['a', 'b']), res, () => undefined)),
    send: get(),
    expected: /1\r\na\r\n1\r\nb\r\n0/,
  },
  'a request piped back': {
    mount: (app) => app.post('/', (req, res) => void req.pipe(res)),
    send: [toRequest('POST', '/', ['Transfer-Encoding: chunked'], '3\r\nabc\r\n0\r\n\r\n')],
    expected: /abc/,
  },
  'early hints': {
    mount: (app) =>
      app.get('/', (_req, res) => res.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => void res.end('x'))),
    send: get(),
    expected: /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>[^]*200 OK/,
  },
  '100-continue': {
    mount: (app) => app.use(express.text()).post('/', (req, res) => void res.send(req.body)),
    send: [toRequest('POST', '/', ['Expect: 100-continue', 'Content-Type: text/plain', 'Content-Length: 2'], 'ok')],
    expected: /^HTTP\/1\.1 100 Continue[^]*ok$/,
  },
  trailers: {
    mount: (app) =>
      app.get('/', (_req, res) => {
        res.setHeader('Trailer', 'X-End');
        res.write('a');
        res.addTrailers({ 'X-End': 'yes' });
        res.end();
      }),
    send: get(),
    expected: /X-End: yes/,
  },
  'writeHead with an array': {
    mount: (app) => app.get('/', (_req, res) => void res.writeHead(201, 'Made', ['X-A', '1']).end()),
    send: get(),
    expected: /201 Made\r\n[^]*X-A: 1/,
  },
  'an error thrown': { mount: (app) => app.get('/', () => { throw new Error('boom'); }).use(showError), send: get(), expected: /418[^]*boom/ }, // prettier-ignore
  'an error rejected': {
    mount: (app) => app.get('/', () => Promise.reject(new Error('later'))).use(showError),
    send: get(),
    expected: /418[^]*later/,
  },
  'an error nobody handles': { mount: (app) => app.get('/', () => { throw Object.assign(new Error('x'), { status: 409, stack: 'no stack' }); }), send: get(), expected: /409 Conflict[^]*no stack/ }, // prettier-ignore
  'an error after the headers': {
    mount: (app) =>
      app
        .get('/', (_req, res) => {
          res.write('half');
          throw new Error('too late');
        })
        .use(showError),
    send: get(),
    expected: /half/,
  },
  'nothing there': { mount: () => undefined, send: get('/<x>'), expected: /404 Not Found[^]*Cannot GET/ },
  HEAD: {
    mount: (app) => app.get('/', (_req, res) => void res.json({ a: 1 })),
    send: [toRequest('HEAD', '/')],
    expected: /Content-Length: 7[^]*\r\n\r\n$/,
  },
  OPTIONS: {
    mount: (app) => app.get('/', (_req, res) => void res.end()).post('/', (_req, res) => void res.end()),
    send: [toRequest('OPTIONS', '/')],
    expected: /Allow: GET, HEAD, POST/,
  },
  'an odd method': {
    mount: (app) => app.propfind('/', (req, res) => void res.send(req.method)),
    send: [toRequest('PROPFIND', '/')],
    expected: /PROPFIND$/,
  },
  'requests in one pipeline, answered in order': {
    mount: (app) =>
      app.get('/:n', (req, res) => void setTimeout(() => res.send(req.params.n), req.params.n === '1' ? 30 : 0)),
    send: ['GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n', toRequest('GET', '/3')],
    expected: /\r\n\r\n1HTTP[^]*\r\n\r\n2HTTP[^]*\r\n\r\n3$/,
  },
  'HTTP/1.0': {
    mount: (app) => app.get('/', (req, res) => void res.send(req.httpVersion)),
    send: ['GET / HTTP/1.0\r\n\r\n'],
    expected: /Connection: close[^]*1\.0$/,
  },
  'HTTP/1.0 kept alive': {
    mount: (app) => app.get('/', (req, res) => void res.send(req.httpVersion)),
    send: ['GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', 'GET / HTTP/1.0\r\n\r\n'],
    expected: /keep-alive[^]*1\.0HTTP[^]*1\.0$/,
  },
  'a connection kept alive': {
    mount: (app) => app.get('/', (_req, res) => void res.send('x')),
    send: ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', toRequest('GET', '/')],
    expected: /Keep-Alive: timeout=5[^]*xHTTP[^]*Connection: close/,
  },
  'an upgrade': {
    mount: () => undefined,
    use: (server) =>
      server.on(
        'upgrade',
        (req, socket, head) =>
          void socket.end(
            `HTTP/1.1 101 Switching Protocols\r\n\r\n${req.url ?? ''} ${req.headers.upgrade ?? ''} ${head.toString()}`,
          ),
      ),
    send: ['GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n'],
    expected: /101[^]*\/up echo $/,
  },
  'an upgrade that nobody takes': {
    mount: (app) => app.get('/', (req, res) => void res.send(req.get('upgrade'))),
    send: ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUpgrade: echo\r\n\r\n'],
    expected: /200 OK[^]*echo$/,
  },
  helmet: {
    mount: (app) => app.use(helmet()).get('/', (_req, res) => void res.end()),
    send: get(),
    expected: /Content-Security-Policy/,
  },
  cors: {
    mount: (app) => app.use(cors({ origin: ['http://a.example'] })).get('/', (_req, res) => void res.end()),
    send: get('/', 'Origin: http://a.example'),
    expected: /Access-Control-Allow-Origin: http:\/\/a\.example/,
  },
  'pino-http': {
    mount: (app) => {
      const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
      app
        .use(pinoHttp({ genReqId: () => 'id-1' }, sink))
        .get('/', (req, res) => void res.json([typeof req.log.info, req.id, res.log === req.log]));
    },
    send: get(),
    expected: /\["function","id-1",true\]/,
  },
  'express-rate-limit': {
    mount: (app) =>
      app.use(rateLimit({ limit: 1, windowMs: 60_000, validate: false })).get('/', (_req, res) => void res.end('in')),
    send: get(),
    expected: /200 OK[^]*X-RateLimit-Remaining: 0[^]*in$/,
  },
  'express-rate-limit that refuses': {
    mount: (app) => app.use(rateLimit({ limit: 0, windowMs: 60_000, validate: false })),
    send: get(),
    expected: /429 Too Many Requests/,
  },
  'a sub-application': {
    mount: (app) => {
      const inner = express().get('/', (req, res) => void res.json([req.baseUrl, req.app.mountpath]));
      app.use('/sub', inner).use((req, res) => void res.json(req.app === app));
    },
    send: ['GET /sub/none HTTP/1.1\r\nHost: a\r\n\r\n', toRequest('GET', '/sub')],
    expected: /true[^]*\["\/sub","\/sub"\]/,
  },
  'properties on the message objects': {
    mount: (app) =>
      app.get(
        '/',
        (req, res) =>
          void res.json([
            req.socket === res.socket,
            res.headersSent,
            res.statusCode,
            req.complete,
            Object.keys(req).includes('url'),
            req.constructor.name,
            res.constructor.name,
          ]),
      ),
    send: get(),
    expected: /\[true,false,200,/,
  },
};
