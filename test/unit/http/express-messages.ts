import express from 'express';

import { type ExpressBehaviour, get, post, showError } from './express-behaviour.ts';

/** What Express reads of requests and writes into answers. */
export const MESSAGE_BEHAVIOURS: Readonly<Record<string, ExpressBehaviour>> = {
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
};
