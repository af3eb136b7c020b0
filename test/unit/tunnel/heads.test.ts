import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { FrameError } from '../../../src/tunnel/frames.ts';
import {
  MAX_RETRY_AFTER_MS,
  parseGoaway,
  parseHello,
  parseRequestHead,
  parseResponseHead,
  parseTrailers,
  toReason,
} from '../../../src/tunnel/heads.ts';
import { MAX_FIELDS } from '../../../src/tunnel/limits.ts';
import { toHello } from '../../support/tunnel-pair.ts';
import { REQUEST, RESPONSE } from './tunnel-pair.ts';

const toPayload = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const GOAWAY = { code: 0, lastStream: 7, detail: 'planned' };

interface Parser {
  readonly parse: (payload: Buffer) => unknown;
  readonly good: object;
  /** Changes that are accepted, too. */
  readonly also: Readonly<Record<string, object>>;
  /** Changes that are not. */
  readonly refused: Readonly<Record<string, object>>;
}

const fieldsOf = (...fields: readonly unknown[]): object => ({ fields });
const FIELDS: Readonly<Record<string, object>> = {
  'no fields': { fields: undefined },
  'fields that are an object': { fields: { X: '1' } },
  'a name without a value': fieldsOf('X'),
  'a name that is a number': fieldsOf(1, '1'),
  'a value that is a number': fieldsOf('X', 1),
  'a value that is null': fieldsOf('X', null),
  'a name of nothing': fieldsOf('', '1'),
  'a name with a colon': fieldsOf('X:', '1'),
  'a name with a blank': fieldsOf('X ', '1'),
  'a name with NUL': fieldsOf('X\0', '1'),
  'a name with CR LF': fieldsOf('X\r\nY', '1'),
  'a name that is not ASCII': fieldsOf('Ä', '1'),
  'a value with CR LF': fieldsOf('X', '1\r\nY: 2'),
  'a value with LF': fieldsOf('X', '\n'),
  'a value with NUL': fieldsOf('X', '\0'),
  'a value with DEL': fieldsOf('X', '\x7f'),
  'a value that is not Latin-1': fieldsOf('X', 'Ā'),
  'a value with a lone surrogate': fieldsOf('X', '\ud800'),
  'one field too many': fieldsOf(...Array.from({ length: MAX_FIELDS * 2 + 2 }, () => 'x')),
  'Transfer-Encoding': fieldsOf('transfer-ENCODING', 'chunked'),
  'Content-Length twice': fieldsOf('Content-Length', '1', 'content-length', '1'),
};
const GOOD_FIELDS: Readonly<Record<string, object>> = {
  'no field': { fields: [] },
  'the most fields': fieldsOf(...Array.from({ length: MAX_FIELDS * 2 }, () => 'x')),
  'a value of nothing': fieldsOf('X', ''),
  'a value of Latin-1, with a tab': fieldsOf('X', 'a\t\xe4\xff\x80'),
};

const PARSERS: Readonly<Record<string, Parser>> = {
  parseRequestHead: {
    parse: parseRequestHead,
    good: { ...REQUEST, upgrade: 'websocket', requestId: 'r-1', connector: 'cn-1' },
    also: {
      ...GOOD_FIELDS,
      'a service': { to: { service: 'renewal' } },
      'an address of IPv6': { to: { host: '::1', port: 65_535 } },
      'a method of another kind': { method: 'M-SEARCH' },
      'all that may stand in a target': {
        target: `/${String.fromCharCode(...Array.from({ length: 94 }, (_, at) => 33 + at))}`,
      },
    },
    refused: {
      ...FIELDS,
      'no destination': { to: undefined },
      'a destination that is an array': { to: ['crm', 80] },
      'a service that is not known': { to: { service: 'shell' } },
      'a service named as what every object has': { to: { service: 'constructor' } },
      'a host without a port': { to: { host: 'a' } },
      'a host of nothing': { to: { host: '', port: 80 } },
      'a host with a slash': { to: { host: 'a/b', port: 80 } },
      'a host with CR LF': { to: { host: 'a\r\n', port: 80 } },
      'a host that is long': { to: { host: 'a'.repeat(256), port: 80 } },
      'port 0': { to: { host: 'a', port: 0 } },
      'port 65536': { to: { host: 'a', port: 65_536 } },
      'a port that is a text': { to: { host: 'a', port: '80' } },
      'half a port': { to: { host: 'a', port: 80.5 } },
      'no method': { method: undefined },
      'a method of nothing': { method: '' },
      'a method with a blank': { method: 'GET /' },
      'a method with CR LF': { method: 'GET\r\n' },
      'a method that is long': { method: 'G'.repeat(257) },
      'no target': { target: undefined },
      'a target without a slash': { target: 'http://a/' },
      'a target of all': { target: '*' },
      'a target with a blank': { target: '/a b' },
      'a target with CR LF': { target: '/\r\n' },
      'a target with LF at its end': { target: '/\n' },
      'a target with NUL': { target: '/\0' },
      'a target that is not ASCII': { target: '/ä' },
      'an upgrade with CR LF': { upgrade: 'a\r\n' },
      'an upgrade that is null': { upgrade: null },
      'a request id with LF': { requestId: 'a\n' },
      'a request id that is long': { requestId: 'a'.repeat(129) },
      'a connector that is a number': { connector: 1 },
    },
  },
  parseResponseHead: {
    parse: parseResponseHead,
    good: { ...RESPONSE, connectorError: 'application_timeout' },
    also: {
      ...GOOD_FIELDS,
      'status 100': { status: 100 },
      'status 599': { status: 599 },
      'a reason of nothing': { reason: '' },
      'a reason of Latin-1': { reason: 'Sch\xf6n' },
    },
    refused: {
      ...FIELDS,
      'no status': { status: undefined },
      'status 99': { status: 99 },
      'status 600': { status: 600 },
      'half a status': { status: 200.5 },
      'a status that is a text': { status: '200' },
      'no reason': { reason: undefined },
      'a reason with CR LF': { reason: 'OK\r\nX: 1' },
      'a reason with NUL': { reason: '\0' },
      'a reason that is long': { reason: 'x'.repeat(201) },
      'an error with LF': { connectorError: 'a\n' },
    },
  },
  parseTrailers: {
    parse: (payload) => ({ fields: parseTrailers(payload) }),
    good: { fields: ['X', '1'] },
    also: {},
    refused: FIELDS,
  },
  parseHello: {
    parse: parseHello,
    good: toHello('cn-1', { node: 'gw-1' }),
    also: { 'a gateway’s worker': { worker: 0 }, 'no node': { node: undefined } },
    refused: {
      'no id': { id: undefined },
      'an id of nothing': { id: '' },
      'an id with LF': { id: 'a\n' },
      'an id that is long': { id: 'x'.repeat(129) },
      'no instance': { instance: undefined },
      'an instance that is a number': { instance: 1 },
      'no worker': { worker: undefined },
      'worker -1': { worker: -1 },
      'a worker that is too many': { worker: 4_097 },
      'no version': { version: undefined },
      'a version with ESC': { version: '\x1b[2J' },
      'no hostname': { hostname: undefined },
      'a hostname that is markup': { hostname: '<b>' },
      'a node that is null': { node: null },
    },
  },
  parseGoaway: {
    parse: parseGoaway,
    good: { ...GOAWAY, retryAfterMs: 1_000 },
    also: {
      'a code that is not known': { code: 255 },
      'the highest stream': { lastStream: 0xffff_ffff },
      'no detail': { detail: '' },
      'an hour': { retryAfterMs: MAX_RETRY_AFTER_MS },
    },
    refused: {
      'no code': { code: undefined },
      'code 256': { code: 256 },
      'code -1': { code: -1 },
      'no last stream': { lastStream: undefined },
      'stream -1': { lastStream: -1 },
      'a stream too high': { lastStream: 0x1_0000_0000 },
      'no text': { detail: undefined },
      'a detail with LF': { detail: 'a\nb' },
      'a detail that is long': { detail: 'x'.repeat(201) },
    },
  },
};

const NO_OBJECTS: Readonly<Record<string, string | Buffer>> = {
  nothing: '',
  null: 'null',
  'a number': '7',
  'a text': '"{}"',
  'an array': '[{}]',
  'half an object': '{"a":1',
  'two objects': '{}{}',
  'a text after it': '{} x',
  NUL: '\0',
  'no UTF-8': Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
  'arrays without end': '['.repeat(32_000),
};

for (const [name, { parse, good, also, refused }] of Object.entries(PARSERS)) {
  describe(name, () => {
    it('reads what was written, and leaves out what it does not know', () => {
      assert.deepEqual(parse(toPayload({ ...good, later: [1], ['__proto__']: 1 })), good);
    });

    for (const [what, changes] of Object.entries(also)) {
      it(`reads ${what}`, () => {
        const value = JSON.parse(JSON.stringify({ ...good, ...changes })) as unknown;
        assert.deepEqual(parse(toPayload(value)), value);
      });
    }

    for (const [what, changes] of Object.entries(refused)) {
      it(`refuses ${what}`, () => {
        assert.throws(() => parse(toPayload({ ...good, ...changes })), { name: 'FrameError', code: 'protocol' });
      });
    }

    for (const [what, text] of Object.entries(NO_OBJECTS)) {
      it(`refuses ${what}`, () => {
        assert.throws(() => parse(Buffer.from(text as string)), { name: 'FrameError', code: 'protocol' });
      });
    }

    it('quotes nothing of what it refuses, and throws nothing else', () => {
      fc.assert(
        fc.property(fc.jsonValue(), (value) => {
          const secret = 'Bearer-s3cret';
          try {
            parse(toPayload({ ...good, fields: value, id: value, code: value, secret }));
          } catch (error) {
            assert.ok(error instanceof FrameError);
            assert.match(error.message, /^(?:a request|a response|trailers|a HELLO|a GOAWAY) that cannot be read$/);
          }
        }),
        { numRuns: 300 },
      );
    });
  });
}

describe('parseGoaway, of how long to wait', () => {
  for (const retryAfterMs of [-1, MAX_RETRY_AFTER_MS + 1, 0.5, '5', null]) {
    it(`passes over ${JSON.stringify(retryAfterMs)}`, () => {
      assert.deepEqual(parseGoaway(toPayload({ ...GOAWAY, retryAfterMs })), GOAWAY);
    });
  }
});

describe('toReason', () => {
  it('makes of any text one that the other end takes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const detail = toReason(text);
        assert.deepEqual(parseGoaway(toPayload({ ...GOAWAY, detail })).detail, detail);
      }),
      { numRuns: 500 },
    );
    assert.equal(toReason('a\r\nb “c”'), 'a??b ?c?');
  });
});
