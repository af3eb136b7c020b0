import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { AppError } from '../../../src/core/errors.ts';
import {
  checkFields,
  dropHopByHop,
  dropOverrides,
  isIdempotent,
  readFields,
  toTrailers,
} from '../../../src/tunnel/fields.ts';
import { MAX_FIELDS } from '../../../src/tunnel/limits.ts';

const MANY = Array.from({ length: MAX_FIELDS }, (_, at) => [`X-${at}`, 'v']).flat();

describe('dropHopByHop', () => {
  it('keeps order, case and duplicates of the rest', () => {
    const fields = ['Set-Cookie', 'a=1', 'X-a', '1', 'set-cookie', 'b=2', 'x-A', '2', 'Host', 'crm.virtual'];
    assert.deepEqual(dropHopByHop(fields), fields);
  });

  const DROPPED =
    `
    Connection Keep-Alive Proxy-Connection Proxy-Authorization Proxy-Authenticate TE Trailer
    Transfer-Encoding Upgrade HTTP2-Settings Proxy Proxy-Authentication-Info
  `.match(/\S+/g) ?? [];
  for (const name of DROPPED) {
    it(`drops ${name} in any case`, () => {
      const fields = [name, 'x', 'A', '1', name.toUpperCase(), 'y', name.toLowerCase(), 'z'];
      assert.deepEqual(dropHopByHop(fields), ['A', '1']);
    });
  }

  const NAMED: Readonly<Record<string, readonly [readonly string[], readonly string[]]>> = {
    'what Connection names': [
      ['Connection', 'X-Hop', 'X-Hop', '1', 'X-End', '2'],
      ['X-End', '2'],
    ],
    'in any case': [['connection', 'x-HOP', 'X-Hop', '1', 'x-hop', '2'], []],
    'several in a list': [
      ['Connection', 'close ,\tX-A,, X-B', 'X-A', '1', 'X-B', '2', 'X-C', '3'],
      ['X-C', '3'],
    ],
    'by several fields': [['X-B', '2', 'Connection', 'X-A', 'X-A', '1', 'CONNECTION', 'X-B'], []],
    'not what only resembles it': [
      ['Connection', 'X-A', 'X-AB', '1'],
      ['X-AB', '1'],
    ],
    'not the names of every object': [
      ['Connection', '__proto__', 'constructor', '1'],
      ['constructor', '1'],
    ],
    'also what the caller wants': [
      ['Host', 'a', 'X-Key', '1', 'A', '2'],
      ['A', '2'],
    ],
  };
  for (const [name, [fields, kept]] of Object.entries(NAMED)) {
    it(`drops ${name}`, () => assert.deepEqual(dropHopByHop(fields, ['host', 'x-key']), kept));
  }

  const KEPT =
    `
    Content-Length Authorization Host Cookie Set-Cookie Content-Type Cache-Control X-Forwarded-For
    Forwarded Origin If-Match Sec-Fetch-Site Access-Control-Allow-Origin Expect
  `.match(/\S+/g) ?? [];
  for (const name of KEPT) {
    it(`keeps ${name} though Connection names it`, () => {
      assert.deepEqual(dropHopByHop(['Connection', `close, ${name}`, name, '1']), [name, '1']);
    });
  }

  it('leaves a subsequence in which nothing is to be dropped', () => {
    const name = fc.constantFrom('Connection', 'TE', 'X-A', 'x-a', 'Cookie', 'Upgrade', 'X-B');
    const value = fc.constantFrom('x-a', 'close', 'cookie, X-B', 'te');
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), (pairs) => {
        const kept = dropHopByHop(pairs.flat());
        assert.deepEqual(dropHopByHop(kept), kept);
        assert.ok(!kept.some((text, at) => at % 2 === 0 && /^(?:connection|te|upgrade)$/i.test(text)));
      }),
    );
  });
});

describe('dropOverrides', () => {
  const FIELDS = ['X-Original-URL', '/admin', 'X_Rewrite_URL', '/b', 'x-http-method-override', 'DELETE', 'A', '1'];

  it('drops what leads to a path or a method that was not checked', () => {
    assert.deepEqual(dropOverrides(FIELDS, { allowedPaths: ['/a'], allowedMethods: ['GET'] }), ['A', '1']);
  });

  it('keeps it where all paths or all methods are allowed', () => {
    assert.deepEqual(dropOverrides(FIELDS, { allowedPaths: '/*' }), FIELDS);
    assert.deepEqual(dropOverrides(FIELDS, { allowedPaths: ['/a'] }), FIELDS.slice(4));
    assert.deepEqual(dropOverrides(FIELDS, { allowedPaths: '/*', allowedMethods: ['GET'] }), [
      ...FIELDS.slice(0, 4),
      ...FIELDS.slice(6),
    ]);
  });
});

describe('toTrailers', () => {
  it('hands on what says something of the message', () => {
    const trailers = ['Server-Timing', 'db;dur=5', 'Grpc-Status', '0', 'Digest', 'x', 'digest', 'y'];
    assert.deepEqual(toTrailers(trailers), trailers);
  });

  const REFUSED =
    `
    Content-Length Transfer-Encoding Host Connection Trailer TE Upgrade Content-Encoding Content-Type
    Authorization Cookie Set-Cookie Cache-Control If-Match Location Expect Max-Forwards X-Forwarded-For
    Proxy-Authorization Age Retry-After WWW-Authenticate
  `.match(/\S+/g) ?? [];
  for (const name of REFUSED) {
    it(`leaves out ${name}`, () =>
      assert.deepEqual(toTrailers([name.toLowerCase(), '1', name, '2', 'A', '3']), ['A', '3']));
  }
});

describe('isIdempotent', () => {
  it('is as RFC 9110 has it', () => {
    const methods = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE', 'POST', 'PATCH', 'CONNECT', 'get', ''];
    assert.deepEqual(methods.filter(isIdempotent), ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
  });
});

describe('checkFields', () => {
  const TAKEN: Readonly<Record<string, unknown>> = {
    none: [],
    'an empty value': ['X-A', ''],
    'bytes above ASCII': ['X-A', 'caf\xe9 \xff'],
    'a tab': ['X-A', 'a\tb'],
    'every character of a token': ["!#$%&'*+-.^_`|~09azAZ", '1'],
    'one length and one host': ['Content-Length', '12', 'Host', 'a'],
    'as many as there may be': MANY,
  };
  for (const [name, fields] of Object.entries(TAKEN)) {
    it(`takes ${name}`, () => assert.equal(checkFields(fields), fields));
  }

  const PAIRS = /pairs/;
  const NAME = /name that is none/;
  const VALUE = /value that cannot be sent/;
  const REFUSED: Readonly<Record<string, readonly [unknown, RegExp]>> = {
    nothing: [undefined, PAIRS],
    'an object': [{ a: '1' }, PAIRS],
    'a text': ['ab', PAIRS],
    'an odd number': [['A', '1', 'B'], PAIRS],
    'one too many': [[...MANY, 'A', '1'], /more than 200/],
    'an empty name': [['', '1'], NAME],
    'a name with a space': [['A B', '1'], NAME],
    'a name with a colon': [['A:', '1'], NAME],
    'a name with a line end': [['A\r\nB', '1'], NAME],
    'a name with a line end behind it': [['A\n', '1'], NAME],
    'a name outside ASCII': [['É', '1'], NAME],
    'a name that is a number': [[1, '1'], NAME],
    'a value that is a number': [['A', 1], VALUE],
    'a value that is null': [['A', null], VALUE],
    'a value that is a list': [['A', ['1']], VALUE],
    'a value with a line end': [['A', '1\r\nB: 2'], VALUE],
    'a value with a line feed': [['A', '1\nB: 2'], VALUE],
    'a value with a line feed behind it': [['A', '1\n'], VALUE],
    'a value with a carriage return': [['A', '1\rB: 2'], VALUE],
    'a value with a zero byte': [['A', '1\0'], VALUE],
    'a value with an escape character': [['A', '\x1b'], VALUE],
    'a value beyond latin-1': [['A', '\u010a'], VALUE],
    'two lengths': [['Content-Length', '1', 'content-length', '1'], /twice/],
    'a length that is none': [['Content-Length', '1, 2'], /no number/],
    'a length with a sign': [['Content-Length', '+1'], /no number/],
    'an empty length': [['Content-Length', ''], /no number/],
    'two hosts': [['Host', 'a', 'HOST', 'a'], /"Host" twice/],
    'a transfer coding': [['Transfer-Encoding', 'chunked'], /Transfer-Encoding/],
  };
  for (const [name, [fields, message]] of Object.entries(REFUSED)) {
    it(`refuses ${name}`, () => assert.throws(() => checkFields(fields), { name: 'FieldError', message }));
  }

  it('takes only what Node writes', async () => {
    const server = createServer((_, res) => res.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const [name, value] = [fc.string({ unit: 'binary', maxLength: 6 }), fc.string({ unit: 'binary', maxLength: 6 })];
    const isTaken = (act: () => unknown): boolean => {
      try {
        act();
        return true;
      } catch {
        return false;
      }
    };
    fc.assert(
      fc.property(fc.oneof(name, fc.constant('X-A')), value, (given, text) => {
        if (!isTaken(() => checkFields([given, text]))) return;
        const req = request({ host: '127.0.0.1', port, setHost: false, headers: { [given]: text } });
        req.on('error', () => undefined).destroy();
      }),
      { numRuns: 300 },
    );
    server.close();
  });
});

describe('readFields', () => {
  const TAKEN: Readonly<Record<string, readonly string[]>> = {
    'a length': ['Host', 'a', 'Content-Length', '12'],
    'a chunked body': ['Host', 'a', 'Transfer-Encoding', 'Chunked'],
    neither: ['Host', 'a', 'Cookie', 'a', 'Cookie', 'b'],
  };
  for (const [name, fields] of Object.entries(TAKEN)) {
    it(`takes ${name}`, () => assert.equal(readFields(fields), fields));
  }

  const REFUSED: Readonly<Record<string, readonly [readonly string[], RegExp]>> = {
    'two hosts': [['Host', 'a', 'host', 'b'], /"Host" twice/],
    'two equal hosts': [['Host', 'a', 'Host', 'a'], /"Host" twice/],
    'a length beside a transfer coding': [['Content-Length', '1', 'Transfer-Encoding', 'chunked'], /both/],
    'two lengths that differ': [['Content-Length', '1', 'Content-Length', '2'], /twice/],
    'two equal lengths': [['Content-Length', '1', 'Content-Length', '1'], /twice/],
    'a list of lengths': [['Content-Length', '1,1'], /no number/],
    'a hexadecimal length': [['Content-Length', '0x1'], /no number/],
    'another transfer coding': [['Transfer-Encoding', 'gzip, chunked'], /other than "chunked"/],
    'a disguised transfer coding': [['Transfer-Encoding', 'xchunked'], /other than "chunked"/],
    'chunked twice': [['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked'], /other than/],
    'two transfer codings': [['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'identity'], /other than/],
    'too many': [[...MANY, 'A', '1'], /more than 200/],
    'a value with a control character': [['A', '\x01'], /cannot be sent/],
  };
  for (const [name, [fields, message]] of Object.entries(REFUSED)) {
    it(`refuses ${name}`, () => {
      assert.throws(
        () => readFields(fields),
        (error) => {
          assert.ok(error instanceof AppError && error.code === 'invalid_request');
          assert.match(error.values.detail ?? '', message);
          return true;
        },
      );
    });
  }

  it("takes what Node's parser makes of a request, and refuses the second host that it lets through", async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const read = async (headers: readonly string[]): Promise<readonly string[]> => {
      const req = request({ host: '127.0.0.1', port, setHost: false, headers: headers as string[] }).end();
      const [received, res] = (await once(server, 'request')) as [IncomingMessage, { end(): void }];
      res.end();
      const [answer] = (await once(req, 'response')) as [IncomingMessage];
      answer.resume();
      return received.rawHeaders;
    };
    try {
      const fields = await read(['Host', 'a', 'X-A', '1', 'x-a', '2', 'Connection', 'close']);
      assert.deepEqual(dropHopByHop(readFields(fields), ['host']), ['X-A', '1', 'x-a', '2']);
      const doubled = await read(['Host', 'a', 'Host', 'b', 'Connection', 'close']);
      assert.throws(() => readFields(doubled), { code: 'invalid_request' });
    } finally {
      server.close();
    }
  });
});
