import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { after, before, describe, it, type TestContext } from 'node:test';
import { createSecureContext } from 'node:tls';

import { AppError } from '../../src/core/errors.ts';
import { MAX_ANSWER_BYTES } from '../../src/gateway/service-calls/limits.ts';
import { createCallPlaces } from '../../src/gateway/service-calls/places.ts';
import type { ConnectorCall } from '../../src/gateway/service-calls/service-calls.ts';
import {
  CALLER,
  type Certificates,
  type Changes,
  createCertificates,
  startGateway,
  startService,
} from './service-calls-under-test.ts';

let certificates: Certificates;
before(async () => {
  certificates = await createCertificates();
});
after(() => certificates.remove());

/** A gateway and a service that it may call. */
async function start(t: TestContext, answer: RequestListener, changes: Partial<Changes> = {}) {
  const { key, cert } = certificates.server;
  const { port, counted } = await startService(t, { key, cert }, answer);
  const hosts = [`localhost:${port}`, ...(changes.hosts ?? [])];
  const gateway = await startGateway(t, { identities: certificates.identities, ...changes, hosts });
  return { ...gateway, counted, service: `https://localhost:${port}` };
}

/** A service that answers with what it was sent. */
const echo: RequestListener = (req, res) => {
  void buffer(req).then((body) => {
    res.setHeader('content-type', 'application/json');
    const { method, url, rawHeaders: fields } = req;
    res.end(JSON.stringify({ method, url, fields, body: body.toString('base64') }));
  });
};

interface Echo {
  readonly method: string;
  readonly url: string;
  readonly fields: readonly string[];
  readonly body: string;
}

const fieldsOf = ({ fields }: Echo): Record<string, string> =>
  Object.fromEntries(
    fields.flatMap((name, index) => (index % 2 === 0 ? [[name.toLowerCase(), fields[index + 1] ?? '']] : [])),
  );

const SENT: Readonly<Record<string, readonly [object, Partial<Echo>, Readonly<Record<string, string | undefined>>]>> = {
  'a GET has no body': [
    {},
    { method: 'GET', body: '' },
    { 'content-length': undefined, 'transfer-encoding': undefined },
  ],
  'an object goes as JSON': [
    { method: 'POST', body: { a: 1 } },
    { method: 'POST', body: Buffer.from('{"a":1}').toString('base64') },
    { 'content-type': 'application/json', 'content-length': '7' },
  ],
  'an object with a type of its own': [
    { method: 'PUT', body: [1], headers: { 'Content-Type': 'application/vnd.a+json' } },
    { method: 'PUT' },
    { 'content-type': 'application/vnd.a+json' },
  ],
  'text goes as it is': [
    { method: 'PATCH', body: 'Zoë' },
    { body: Buffer.from('Zoë').toString('base64') },
    { 'content-type': undefined, 'content-length': '4' },
  ],
  'bytes go as base64': [{ method: 'POST', body: '/wA=', bodyEncoding: 'base64' }, { body: '/wA=' }, {}],
  'a POST without a body says so': [{ method: 'POST' }, { body: '' }, { 'content-length': '0' }],
  'a DELETE with a body says its length': [
    { method: 'DELETE', body: 'x' },
    { method: 'DELETE' },
    { 'content-length': '1' },
  ],
  'Host is ours': [{ headers: { Host: 'evil.test', 'X-A': 'b' } }, {}, { 'x-a': 'b' }],
};

const REFUSED: Readonly<Record<string, readonly [unknown, number, RegExp]>> = {
  'no url': [{}, 400, /"url" is missing/],
  'an unknown member': [{ url: 'https://a.test/', timeout: 1 }, 400, /"timeout" is not known here/],
  'another method': [{ url: 'https://a.test/', method: 'CONNECT' }, 400, /"method" must be one of/],
  'another way': [{ url: 'https://a.test/', via: 'carrier' }, 400, /"via" must be one of/],
  'a header that is no text': [{ url: 'https://a.test/', headers: { a: 1 } }, 400, /headers/],
  'a header with a line break': [{ url: 'https://localhost/', headers: { a: 'b\r\nc: d' } }, 400, /headers\.a/],
  'a body that is no base64': [{ url: 'https://a.test/', body: 'a', bodyEncoding: 'base64' }, 400, /must be base64/],
  'a host that is not allowed': [{ url: 'https://a.test/' }, 403, /COUNTERSIGN_SERVICE_HOSTS does not name it/],
  'an identity that is unknown': [{ url: 'https://localhost/', identity: 'x' }, 400, /no usable client certificate/],
  'an identity without TLS': [{ url: 'http://localhost/', identity: 'default' }, 400, /"identity" goes with https/],
  'an identity through a connector': [
    { url: 'http://crm.virtual/', via: 'connector', identity: 'default' },
    400,
    /direct/,
  ],
  'redirects through a connector': [
    { url: 'http://crm.virtual/', via: 'connector', redirect: 'follow' },
    400,
    /direct/,
  ],
  'no connector': [{ url: 'http://crm.virtual/', via: 'connector' }, 409, /^no connector is enabled$/],
};

describe('a service call', () => {
  for (const [name, [call, expected, fields]] of Object.entries(SENT)) {
    it(`reaches the service: ${name}`, async (t) => {
      const gateway = await start(t, echo);
      const answer = await gateway.call({ ...call, url: `${gateway.service}/a/../b?c=%20` });
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.json['bodyEncoding'], 'utf8');
      const got = JSON.parse(String(answer.json['body'])) as Echo;
      assert.equal(got.url, '/a/../b?c=%20');
      assert.deepEqual({ ...got, ...expected }, got);
      const sent = fieldsOf(got);
      assert.equal(sent['host'], gateway.service.slice('https://'.length));
      assert.equal(sent['authorization'], undefined, "the caller's token stays here");
      for (const [field, value] of Object.entries(fields)) assert.equal(sent[field], value, field);
    });
  }

  for (const [name, [call, status, msg]] of Object.entries(REFUSED)) {
    it(`is refused: ${name}`, async (t) => {
      const gateway = await startGateway(t, {
        identities: certificates.identities,
        hosts: ['localhost', 'http://localhost'],
      });
      const answer = await gateway.call(call as object);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.msg, msg);
    });
  }

  it('needs a token, and its body is not read without one', async (t) => {
    const gateway = await startGateway(t, { identities: certificates.identities, hosts: [] });
    for (const [headers, path] of [[{ authorization: '' }, '/service-calls'], [{ authorization: 'Bearer csc_x' }, '/service-calls']] as const) {
      const answer = await gateway.send(path, { method: 'POST', body: 'not json', headers });
      assert.equal(answer.status, 401);
    }
    assert.equal((await gateway.send('/service-calls/options', { headers: { authorization: 'x' } })).status, 401);
    assert.equal((await gateway.send('/service-calls', {})).status, 405);
  }); // prettier-ignore

  it('gives back status, header fields and bytes', async (t) => {
    const gateway = await start(t, (_req, res) => {
      res.writeHead(404, { 'set-cookie': ['a=1', 'b=2'], 'X-A': 'b', connection: 'close' }).end(Buffer.from([0xff, 0]));
    });
    const { status, json } = await gateway.call({ url: gateway.service });
    assert.equal(status, 200);
    const { date: _, 'content-length': length, ...headers } = json['headers'] as Record<string, unknown>;
    assert.deepEqual({ ...json, headers }, { status: 404, headers: { 'set-cookie': ['a=1', 'b=2'], 'x-a': 'b' }, body: '/wA=', bodyEncoding: 'base64' }); // prettier-ignore
    assert.equal(length, undefined, 'of a connection');
  });

  it('whose answer is too large for JSON says what to do', async (t) => {
    const gateway = await start(t, (_req, res) => res.end(Buffer.alloc(MAX_ANSWER_BYTES + 1)));
    const answer = await gateway.call({ url: gateway.service });
    assert.equal(answer.status, 502);
    assert.match(answer.msg, /larger than 1048576 bytes; ask for it with stream/);
  });

  it('leaves one line in the log, without path, query, header fields and body', async (t) => {
    const gateway = await start(t, echo);
    const headers = { authorization: 'Bearer secret' };
    await gateway.call({ method: 'POST', url: `${gateway.service}/secret?secret`, headers, body: 'secret' });
    const line = await gateway.line(({ msg }) => msg === 'service call');
    const { caller, via, method, host, status } = line;
    assert.deepEqual({ caller, via, method, host, status }, { caller: 'ca-1', via: 'direct', method: 'POST', host: gateway.service.slice(8), status: 200 }); // prettier-ignore
    await gateway.line(({ msg }) => msg === 'request');
    assert.doesNotMatch(JSON.stringify(gateway.lines()), /secret/);
  });

  it('is refused while too many are under way', async (t) => {
    const held: (() => void)[] = [];
    const places = createCallPlaces(10, 1);
    const gateway = await start(t, (_req, res) => void held.push(() => res.end()), { places });
    const first = gateway.call({ url: gateway.service });
    while (held.length === 0) await new Promise(setImmediate);
    const second = await gateway.call({ url: gateway.service });
    assert.equal(second.status, 503);
    assert.equal(second.headers['retry-after'], '1');
    held.forEach((finish) => finish());
    assert.equal((await first).status, 200);
    const third = gateway.call({ url: gateway.service });
    while (held.length < 2) await new Promise(setImmediate);
    held.at(-1)?.();
    assert.equal((await third).status, 200);
  });

  it('that its caller gives up is given up at the service', async (t) => {
    let reached: () => void;
    let ended: () => void;
    const [isReached, isEnded] = [
      new Promise<void>((done) => (reached = done)),
      new Promise<void>((done) => (ended = done)),
    ];
    const gateway = await start(t, (req) => {
      reached();
      req.socket.once('close', () => ended());
    });
    const abort = new AbortController();
    const headers = { 'content-type': 'application/json' };
    const sent = gateway.send('/service-calls', { method: 'POST', headers, body: JSON.stringify({ url: gateway.service }), signal: abort.signal }); // prettier-ignore
    await isReached;
    abort.abort();
    await assert.rejects(sent);
    await isEnded;
  });
});

describe('DNS', () => {
  it('is asked once: the connection goes to the address that was checked', async (t) => {
    const asked: string[] = [];
    const lookup = (host: string) => {
      asked.push(host);
      return Promise.resolve([{ address: '127.0.0.1', family: 4 }]);
    };
    // `service.test` has no address anywhere else.
    const { key, cert } = certificates.server;
    const { port } = await startService(t, { key, cert }, (_req, res) => res.end('here'));
    const gateway = await startGateway(t, { identities: certificates.identities, hosts: [`service.test:${port}=127.0.0.1`], lookup }); // prettier-ignore
    const answer = await gateway.call({ url: `https://service.test:${port}/` });
    assert.equal(answer.json['body'], 'here', answer.text);
    assert.deepEqual(asked, ['service.test']);
  });

  it('that turns to a private address between two calls is refused at the second', async (t) => {
    const addresses = ['127.0.0.1', '10.0.0.1'];
    const lookup = () => Promise.resolve([{ address: addresses.shift() ?? '', family: 4 }]);
    const gateway = await start(t, (_req, res) => res.end(), { lookup });
    assert.equal((await gateway.call({ url: gateway.service })).status, 200);
    const second = await gateway.call({ url: gateway.service });
    assert.equal(second.status, 403);
    assert.match(second.msg, /leads to an address that is not allowed/);
  });

  it('that does not answer is a time-out', async (t) => {
    const lookup = () => new Promise<never>(() => undefined);
    const gateway = await start(t, echo, { lookup, limits: { connectMs: 50 } });
    assert.equal((await gateway.call({ url: gateway.service })).status, 504);
  });
});

describe('a redirect', () => {
  it('is the answer, unless it is asked to be followed', async (t) => {
    const gateway = await start(t, (req, res) => {
      if (req.url === '/a') res.writeHead(302, { location: '/b' }).end();
      else res.end('b');
    });
    const manual = await gateway.call({ url: `${gateway.service}/a` });
    assert.equal(manual.json['status'], 302);
    const followed = await gateway.call({ url: `${gateway.service}/a`, redirect: 'follow' });
    assert.deepEqual([followed.json['status'], followed.json['body']], [200, 'b']);
  });

  const ELSEWHERE: Readonly<Record<string, string>> = {
    'to a host that is not allowed': 'https://evil.test/',
    'to metadata': 'http://169.254.169.254/latest/',
    'to loopback': 'http://127.0.0.1/',
    'to an address in decimal': 'https://2130706433/',
    'to another port': 'https://localhost:1/',
  };
  for (const [name, location] of Object.entries(ELSEWHERE)) {
    it(`is refused ${name}`, async (t) => {
      const gateway = await start(t, (_req, res) => res.writeHead(302, { location }).end());
      const answer = await gateway.call({ url: gateway.service, redirect: 'follow' });
      assert.equal(answer.status, 403, answer.text);
    });
  }

  it('that goes on for ever is given up', async (t) => {
    const gateway = await start(t, (_req, res) => res.writeHead(302, { location: '/' }).end());
    const answer = await gateway.call({ url: gateway.service, redirect: 'follow' });
    assert.match(answer.msg, /redirects more than 5 times/);
  });

  it('to another origin takes neither our certificate nor credentials along, nor does the way back', async (t) => {
    const seen: string[] = [];
    const { key, cert } = certificates.server;
    const options = { key, cert, ca: certificates.ca.cert, requestCert: true, rejectUnauthorized: false };
    const ports: number[] = [];
    const listener =
      (name: string): RequestListener =>
      (req, res) => {
        const { authorized } = req.socket as unknown as { readonly authorized: boolean };
        seen.push(`${name}${req.url} ${authorized ? 'certificate' : 'none'} ${req.headers.authorization ?? 'none'}`);
        const [a, b] = ports;
        const steps: Readonly<Record<string, string>> = {
          'a/1': `https://localhost:${b}/2`,
          'b/2': `https://localhost:${a}/3`,
        };
        const location = steps[name + req.url];
        if (location === undefined) res.end('end');
        else res.writeHead(302, { location }).end();
      };
    for (const name of ['a', 'b']) ports.push((await startService(t, options, listener(name))).port);
    const hosts = ports.map((port) => `localhost:${port}`);
    // What is called without an identity is verified by the system's authorities: here by ours.

    const plainContext = createSecureContext({ ca: certificates.ca.cert });
    const gateway = await startGateway(t, { identities: certificates.identities, hosts, plainContext });
    const answer = await gateway.call({ url: `https://localhost:${ports[0]}/1`, headers: { authorization: 'x' }, redirect: 'follow' }); // prettier-ignore
    assert.equal(answer.json['body'], 'end', answer.text);
    assert.deepEqual(seen, ['a/1 certificate x', 'b/2 none none', 'a/3 none none']);
  });
});

describe('a service call through a connector', () => {
  const CALL = { via: 'connector', method: 'POST', url: 'http://CRM.virtual:8080/api/../x?y=%2f', headers: { 'X-A': 'b', Connection: 'close' }, body: 'hello' }; // prettier-ignore

  it('is handed over in its parts, and its answer comes back', async (t) => {
    const taken: Record<string, unknown>[] = [];
    const callConnector = async ({ body, signal, ...rest }: ConnectorCall) => {
      taken.push({ ...rest, body: Buffer.isBuffer(body) ? body.toString() : undefined, isAborted: signal.aborted });
      return Promise.resolve({ status: 201, fields: ['X-B', 'c'], body: Readable.from([Buffer.from('created')]) });
    };
    const gateway = await startGateway(t, { identities: certificates.identities, hosts: [], hasConnector: () => Promise.resolve(true), callConnector }); // prettier-ignore
    const answer = await gateway.send('/service-calls', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'r-1', 'x-connector': 'cn-named' },
      body: JSON.stringify(CALL),
    });
    assert.deepEqual(answer.json, { status: 201, headers: { 'x-b': 'c' }, body: 'created', bodyEncoding: 'utf8' });
    const fields = ['X-A', 'b', 'content-length', '5'];
    assert.deepEqual(taken, [{ caller: CALLER, connectorId: 'cn-named', host: 'crm.virtual', port: 8080, method: 'POST', target: '/api/../x?y=%2f', fields, requestId: 'r-1', body: 'hello', isAborted: false }]); // prettier-ignore
  });

  it('fails as the connector does', async (t) => {
    const failure = new AppError('application_unknown', { values: { name: 'crm.virtual' } });
    const gateway = await startGateway(t, { identities: certificates.identities, hosts: [], hasConnector: () => Promise.resolve(true), callConnector: () => Promise.reject(failure) }); // prettier-ignore
    const answer = await gateway.call(CALL);
    assert.equal(answer.status, 403);
    assert.match(answer.msg, /^“crm\.virtual” is not reachable/);
  });

  it('is offered where there is one', async (t) => {
    for (const [isEnabled, hosts] of [[true, []], [false, ['a.test']]] as const) {
      const gateway = await startGateway(t, { identities: certificates.identities, hosts, hasConnector: () => Promise.resolve(isEnabled) }); // prettier-ignore
      assert.deepEqual((await gateway.send('/service-calls/options')).json, {
        direct: { available: hosts.length > 0, identities: ['blind', 'default', 'strange'] },
        connector: { available: isEnabled },
      });
    }
  }); // prettier-ignore
});

describe('the certificates of the identities', () => {
  it('are handed out without their keys', async (t) => {
    const gateway = await startGateway(t, { identities: certificates.identities, hosts: [] });
    const answer = await gateway.send('/admin/service-identities');
    const identities = answer.json['identities'] as readonly Record<string, string>[];
    const first = identities.find(({ name }) => name === 'default');
    assert.equal(first?.['subject'], 'CN=bots');
    assert.equal(first?.['certificates']?.match(/BEGIN CERTIFICATE/g)?.length, 2);
    assert.doesNotMatch(answer.text, /PRIVATE/);
  });
});
