import { createReadStream, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline, Readable, Writable } from 'node:stream';

import cors from 'cors';
import express, { type ErrorRequestHandler, type Express } from 'express';
import { rateLimit } from 'express-rate-limit';
import helmet from 'helmet';
import { pinoHttp } from 'pino-http';

import { toRequest } from './raw-http.ts';

/** Something that Express does, and how to see it from outside. */
export interface ExpressBehaviour {
  readonly mount: (app: Express) => void;
  /** What is sent on one connection. The last request asks the server to close it. */
  readonly send: readonly (string | Buffer)[];
  /** What plain Express' answer holds. */
  readonly expected: RegExp;
  /** What is done to the server before it listens. */
  readonly use?: (server: Server) => void;
}

const get = (path = '/', ...headers: string[]): readonly string[] => [toRequest('GET', path, headers)];
const post = (type: string, body: string): readonly string[] => [
  toRequest('POST', '/', [`Content-Type: ${type}`, `Content-Length: ${Buffer.byteLength(body)}`], body),
];

const folder = mkdtempSync(join(tmpdir(), 'countersign-express-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'page.txt');
writeFileSync(file, 'a page\n'.repeat(20));
const KNOWN_TIME = new Date('2026-01-02T03:04:05Z');
utimesSync(file, KNOWN_TIME, KNOWN_TIME);

const showError: ErrorRequestHandler = (error: Error, _req, res, next) => {
  if (res.headersSent) next(error);
  else res.status(418).json({ caught: error.message });
};

/** By name. */
export const EXPRESS_BEHAVIOURS: Readonly<Record<string, ExpressBehaviour>> = {
  'res.json': {
    mount: (app) => app.get('/', (_req, res) => void res.json({ a: [1, null, 'ü'] })),
    send: get(),
    expected: /\{"a":\[1,null,"Ã¼"\]\}/,
  },
  'res.send of text': {
    mount: (app) => app.get('/', (_req, res) => void res.send('<p>hi')),
    send: get(),
    expected: /text\/html; charset=utf-8/,
  },
  'res.send of bytes': {
    mount: (app) => app.get('/', (_req, res) => void res.send(Buffer.from([0, 255]))),
    send: get(),
    expected: /application\/octet-stream/,
  },
  'res.sendStatus': {
    mount: (app) => app.get('/', (_req, res) => void res.sendStatus(202)),
    send: get(),
    expected: /202 Accepted[^]*Accepted$/,
  },
  'res.jsonp': {
    mount: (app) => app.get('/', (_req, res) => void res.jsonp({ a: 1 })),
    send: get('/?callback=go'),
    expected: /go\(\{"a":1\}\)/,
  },
  'res.format': {
    mount: (app) =>
      app.get('/', (_req, res) => void res.format({ text: () => res.send('text'), json: () => res.json({}) })),
    send: get('/', 'Accept: application/json'),
    expected: /Vary: Accept[^]*\{\}$/,
  },
  'res.format with nothing acceptable': {
    mount: (app) => app.get('/', (_req, res) => void res.format({ json: () => res.json({}) })),
    send: get('/', 'Accept: image/png'),
    expected: /406 Not Acceptable/,
  },
  'res.append, res.vary, res.links, res.type, res.location': {
    mount: (app) =>
      app.get('/', (_req, res) => {
        res
          .append('X-A', '1')
          .append('X-A', '2')
          .vary('Origin')
          .vary('Accept')
          .links({ next: '/2' })
          .type('png')
          .location('/ü');
        res.end();
      }),
    send: get(),
    expected:
      /X-A: 1\r\nX-A: 2\r\nVary: Origin, Accept\r\nLink: <\/2>; rel="next"\r\nContent-Type: image\/png\r\nLocation: \/%C3%BC/,
  },
  'res.attachment': {
    mount: (app) => app.get('/', (_req, res) => void res.attachment('a b.txt').send('x')),
    send: get(),
    expected: /filename="a b\.txt"/,
  },
  'cookies set and cleared': {
    mount: (app) =>
      app.get('/', (_req, res) => void res.cookie('a', 'b c', { httpOnly: true, maxAge: 0 }).clearCookie('d').end()),
    send: get(),
    expected: /Set-Cookie: a=b%20c; Max-Age=0[^]*Set-Cookie: d=;/,
  },
  'res.redirect': {
    mount: (app) => app.get('/', (_req, res) => res.redirect(303, '/there?a=b')),
    send: get(),
    expected: /303 See Other[^]*Location: \/there\?a=b/,
  },
  'res.locals and req.app': {
    mount: (app) => {
      app.set('name', 'n');
      app.use((_req, res, next) => {
        res.locals['a'] = 1;
        next();
      });
      app.get(
        '/',
        (req, res) =>
          void res.json([res.locals, req.app.get('name'), req.res === res, res.req === req, res.app === app]),
      );
    },
    send: get(),
    expected: /\[\{"a":1\},"n",true,true,true\]/,
  },
  'req.ip without trust': {
    mount: (app) => app.get('/', (req, res) => void res.json([req.ip, req.ips, req.protocol, req.hostname])),
    send: get('/', 'X-Forwarded-For: 9.9.9.9'),
    expected: /\["127\.0\.0\.1",\[\],"http","test"\]/,
  },
  'req.ip, ips, protocol, hostname with trust': {
    mount: (app) =>
      app
        .set('trust proxy', 2)
        .get(
          '/',
          (req, res) => void res.json([req.ip, req.ips, req.protocol, req.secure, req.hostname, req.subdomains]),
        ),
    send: get(
      '/',
      'X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: a.b.example.com',
    ),
    expected: /\["2\.2\.2\.2",\["2\.2\.2\.2","3\.3\.3\.3"\],"https",true,"a\.b\.example\.com",\["b","a"\]\]/,
  },
  'req.query, simple': {
    mount: (app) => app.set('query parser', 'simple').get('/', (req, res) => void res.json(req.query)),
    send: get('/?a=1&a=2&b%5Bc%5D=%20+'),
    expected: /\{"a":\["1","2"\],"b\[c\]":" {2}"\}/,
  },
  'req.query, extended': {
    mount: (app) => app.set('query parser', 'extended').get('/', (req, res) => void res.json(req.query)),
    send: get('/?a[b][]=1'),
    expected: /\{"a":\{"b":\["1"\]\}\}/,
  },
  'req.get, is, accepts, range, xhr, fresh': {
    mount: (app) =>
      app.get(
        '/',
        (req, res) =>
          void res.json([
            req.get('referrer'),
            req.accepts(['html', 'json']),
            req.acceptsLanguages('de', 'en'),
            req.range(100),
            req.xhr,
            req.fresh,
            req.is('json'),
          ]),
      ),
    send: get(
      '/',
      'Referer: /r',
      'Accept: application/json',
      'Accept-Language: en',
      'Range: bytes=1-2',
      'X-Requested-With: XMLHttpRequest',
    ),
    expected: /\["\/r","json","en",\[\{"start":1,"end":2\}\],true,false,null\]/,
  },
  'req.params, baseUrl, originalUrl, path': {
    mount: (app) =>
      app.use(
        '/in',
        express
          .Router({ mergeParams: true })
          .get(
            '/:id{/:more}',
            (req, res) => void res.json([req.params, req.baseUrl, req.originalUrl, req.path, req.url]),
          ),
      ),
    send: get('/in/%C3%BC/x?q=1'),
    expected: /\[\{"id":"Ã¼","more":"x"\},"\/in","\/in\/%C3%BC\/x\?q=1","\/%C3%BC\/x","\/%C3%BC\/x\?q=1"\]/,
  },
  'a wrong percent-encoding in the path': {
    mount: (app) => app.get('/:id', (_req, res) => void res.end()).use(showError),
    send: get('/%zz'),
    expected: /418[^]*Failed to decode param/,
  },
  'express.json': {
    mount: (app) => app.use(express.json()).post('/', (req, res) => void res.json({ got: req.body as unknown })),
    send: post('application/json', '{"a":1}'),
    expected: /\{"got":\{"a":1\}\}/,
  },
  'express.json that fails': {
    mount: (app) => app.use(express.json()).use(showError),
    send: post('application/json', '{"a"'),
    expected: /418[^]*caught/,
  },
  'express.json that is too large': {
    mount: (app) => app.use(express.json({ limit: 5 })).use(showError),
    send: post('application/json', '{"a":"bcdef"}'),
    expected: /request entity too large/,
  },
  'express.urlencoded': {
    mount: (app) => app.use(express.urlencoded({ extended: true })).post('/', (req, res) => void res.json(req.body)),
    send: post('application/x-www-form-urlencoded', 'a[b]=1&c=%C3%BC'),
    expected: /\{"a":\{"b":"1"\},"c":"Ã¼"\}/,
  },
  'express.text and express.raw': {
    mount: (app) => app.use(express.text(), express.raw()).post('/', (req, res) => void res.json(req.body)),
    send: post('application/octet-stream', 'ab'),
    expected: /\{"type":"Buffer","data":\[97,98\]\}/,
  },
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
