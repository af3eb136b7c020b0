import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { AppError, type ErrorCode, toPublicMessage } from '../../../src/core/errors.ts';
import { type AccessQuestion, type AccessRule, checkRequest, findRule } from '../../../src/tunnel/access.ts';
import { parseTable, toTableJson } from '../../../src/tunnel/table.ts';
import { PATH_VECTORS } from '../../vectors/paths.ts';

const CRM: AccessRule = {
  host: 'crm.virtual',
  port: 8080,
  name: 'CRM',
  allowedPaths: ['/api/*', '/health'],
  allowedMethods: ['GET', 'POST'],
  upgrade: false,
  allowEncodedSlash: false,
};
const CHAT: AccessRule = {
  host: 'chat.virtual',
  port: 80,
  name: 'chat.virtual',
  allowedPaths: '/*',
  upgrade: true,
  allowEncodedSlash: true,
};
const TABLE = [CRM, { ...CRM, port: 9090, name: 'CRM two', allowedPaths: '/*' }, CHAT] as const;

const toCrm = (changes: Partial<AccessQuestion> = {}): AccessQuestion => ({
  host: 'crm.virtual',
  port: 8080,
  method: 'GET',
  target: '/api/orders',
  ...changes,
});
const toChat = (changes: Partial<AccessQuestion> = {}): AccessQuestion =>
  toCrm({ host: 'chat.virtual', port: 80, target: '/live', ...changes });

/** The error of a request that is not admitted. */
function refuse(question: AccessQuestion, table: readonly AccessRule[] = TABLE): AppError {
  try {
    checkRequest(table, question);
  } catch (error) {
    assert.ok(error instanceof AppError, String(error));
    return error;
  }
  return assert.fail(`admitted: ${JSON.stringify(question)}`);
}

/** A verdict as text that can be compared. */
function judge(table: readonly AccessRule[], question: AccessQuestion): string {
  try {
    return JSON.stringify(checkRequest(table, question));
  } catch (error) {
    assert.ok(error instanceof AppError, String(error));
    return `${error.code} ${toPublicMessage(error)}`;
  }
}

describe('findRule', () => {
  const FOUND: Readonly<Record<string, readonly [string, number, AccessRule | undefined]>> = {
    'the host and port': ['crm.virtual', 8080, CRM],
    'a host in other case': ['CRM.Virtual', 8080, CRM],
    'a complete name': ['crm.virtual.', 8080, CRM],
    'another port of the host': ['crm.virtual', 9090, TABLE[1]],
    'a port of none': ['crm.virtual', 80, undefined],
    'a host of none': ['erp.virtual', 8080, undefined],
    'the start of a host': ['crm', 8080, undefined],
    'a name below a host': ['a.crm.virtual', 8080, undefined],
    'two final dots': ['crm.virtual..', 8080, undefined],
    'a host with a space': ['crm.virtual ', 8080, undefined],
    'no host': ['', 8080, undefined],
    'a name of every object': ['__proto__', 8080, undefined],
  };
  for (const [name, [host, port, rule]] of Object.entries(FOUND)) {
    it(`looks for ${name}`, () => assert.equal(findRule(TABLE, host, port), rule));
  }

  it('knows an IPv6 address with and without its brackets', () => {
    const rule = { ...CHAT, host: 'fd00::1' };
    assert.equal(findRule([rule], '[FD00::1]', 80), rule);
    assert.equal(findRule([rule], 'fd00::1', 80), rule);
  });
});

describe('checkRequest', () => {
  const ADMITTED: Readonly<Record<string, readonly [AccessQuestion, AccessRule, string]>> = {
    'a path of the rule': [toCrm(), CRM, '/api/orders'],
    'a path with a query': [toCrm({ target: '/health?deep=1' }), CRM, '/health'],
    'another method of the rule': [toCrm({ method: 'POST' }), CRM, '/api/orders'],
    'any method where none is named': [toChat({ method: 'M-SEARCH' }), CHAT, '/live'],
    'a web socket': [toChat({ upgrade: 'WebSocket' }), CHAT, '/live'],
    'an encoded slash where it is allowed': [toChat({ target: '/a%2Fb' }), CHAT, '/a%2Fb'],
  };
  for (const [name, [question, rule, path]] of Object.entries(ADMITTED)) {
    it(`admits ${name}`, () => assert.deepEqual(checkRequest(TABLE, question), { rule, path }));
  }

  const REFUSED: Readonly<Record<string, readonly [AccessQuestion, ErrorCode]>> = {
    'an unknown host': [toCrm({ host: 'erp.virtual' }), 'application_unknown'],
    'an unknown port': [toCrm({ port: 81 }), 'application_unknown'],
    'an unknown host before its bad path': [toCrm({ host: 'erp.virtual', target: '/..' }), 'application_unknown'],
    'a path of no entry': [toCrm({ target: '/admin' }), 'path_forbidden'],
    'a path that begins like an entry': [toCrm({ target: '/apis' }), 'path_forbidden'],
    'a path that goes up': [toCrm({ target: '/api/../admin' }), 'invalid_request'],
    'an encoded slash': [toCrm({ target: '/api%2forders' }), 'invalid_request'],
    'the absolute form': [toCrm({ target: 'http://other/api/x' }), 'invalid_request'],
    'a method that is not named': [toCrm({ method: 'DELETE' }), 'path_forbidden'],
    'a method in small letters': [toCrm({ method: 'get' }), 'invalid_request'],
    'a CONNECT in small letters': [toChat({ method: 'connect' }), 'invalid_request'],
    'a method with a line end': [toChat({ method: 'GET /x HTTP/1.1\r\n' }), 'invalid_request'],
    'a method with a line end behind it': [toChat({ method: 'GET\n' }), 'invalid_request'],
    'no method': [toChat({ method: '' }), 'invalid_request'],
    'a CONNECT where all methods are allowed': [toChat({ method: 'CONNECT' }), 'path_forbidden'],
    'an upgrade where none is allowed': [toCrm({ upgrade: 'websocket' }), 'path_forbidden'],
    'an empty upgrade': [toCrm({ upgrade: '' }), 'path_forbidden'],
    'an upgrade to h2c': [toChat({ upgrade: 'h2c' }), 'path_forbidden'],
    'an upgrade to TLS': [toChat({ upgrade: 'TLS/1.0' }), 'path_forbidden'],
    'an upgrade to one of two': [toChat({ upgrade: 'websocket, h2c' }), 'path_forbidden'],
    'an upgrade of a POST': [toChat({ method: 'POST', upgrade: 'websocket' }), 'invalid_request'],
  };
  for (const [name, [question, code]] of Object.entries(REFUSED)) {
    it(`refuses ${name}`, () => assert.equal(refuse(question).code, code));
  }

  it('admits nothing by an empty table', () => assert.equal(refuse(toCrm(), []).code, 'application_unknown'));

  it('names an unknown host, without what a terminal obeys, and not at any length', () => {
    assert.equal(
      toPublicMessage(refuse(toCrm({ host: 'Erp.\x1b[31mvirtual\r\n\u202e' }))),
      '“Erp.[31mvirtual” is not reachable. Unable to communicate with the connector. Please try again.',
    );
    assert.equal(refuse(toCrm({ host: 'x'.repeat(10_000) })).values.name?.length, 253);
  });

  it('says what is wrong with a path', () => {
    assert.equal(toPublicMessage(refuse(toCrm({ target: '/api/%2e%2e' }))), 'the path has a segment of dots alone');
  });

  for (const [name, { target, allowEncodedSlash = false, refusedFor, path = target }] of Object.entries(PATH_VECTORS)) {
    it(`judges a path as such: ${name}`, () => {
      const table = [{ ...CHAT, allowEncodedSlash }];
      if (refusedFor === undefined) assert.equal(checkRequest(table, toChat({ target })).path, path);
      else assert.equal(refuse(toChat({ target }), table).code, 'invalid_request');
    });
  }
});

describe('one verdict at both ends', () => {
  const host = fc.constantFrom('a.virtual', 'b.virtual', 'b', 'fd00::1', '10.0.0.1', 'x_y-z.virtual');
  const rules = fc.uniqueArray(
    fc.record(
      {
        host,
        port: fc.constantFrom(80, 443, 8080),
        name: fc.constantFrom('CRM', 'Ünïcode', '“quoted”'),
        allowedPaths: fc.oneof(
          fc.constant('/*' as const),
          fc.array(fc.constantFrom('/', '/a', '/a/*', '/%61/b', '/caf%c3%a9/*', '/g%2fn/*'), { maxLength: 3 }),
        ),
        allowedMethods: fc.subarray(['GET', 'POST', 'M-SEARCH']),
        upgrade: fc.boolean(),
        allowEncodedSlash: fc.boolean(),
      },
      { requiredKeys: ['host', 'port', 'name', 'allowedPaths', 'upgrade', 'allowEncodedSlash'] },
    ),
    { selector: (rule) => `${rule.host} ${rule.port}`, maxLength: 6 },
  );
  const question = fc.record(
    {
      host: fc.oneof(host, fc.constantFrom('A.VIRTUAL', 'b.virtual.', '[fd00::1]', 'c', '', 'a.virtual..')),
      port: fc.constantFrom(80, 443, 8080, 1),
      method: fc.constantFrom('GET', 'POST', 'CONNECT', 'get'),
      target: fc.oneof(
        fc.constantFrom('/', '/a', '/a/', '/a/b?c=/../', '/A', '/%61/b', '/caf%C3%A9/x', '/g%2Fn/x', '/g%252fn/x'),
        fc.constantFrom(...Object.values(PATH_VECTORS).map(({ target }) => target)),
      ),
      upgrade: fc.constantFrom('websocket', 'h2c'),
    },
    { requiredKeys: ['host', 'port', 'method', 'target'] },
  );

  it('is the same by the table that was sent', () => {
    const verdicts = new Set<string>();
    fc.assert(
      fc.property(rules, question, (table, asked) => {
        const verdict = judge(table, asked);
        verdicts.add(verdict.split(' ')[0]?.slice(0, 12) ?? '');
        const sent = parseTable(toTableJson(table));
        assert.equal(judge(sent, asked), verdict);
        assert.equal(judge(parseTable(toTableJson(sent)), asked), verdict);
        assert.equal(judge(table, asked), verdict);
      }),
      { numRuns: 3_000 },
    );
    assert.ok(verdicts.size >= 4, [...verdicts].join());
  });

  it('is the same however the host is written', () => {
    fc.assert(
      fc.property(rules, question, (table, asked) => {
        if (!/^[a-z]/.test(asked.host) || asked.host.endsWith('.')) return;
        const isKnown = findRule(table, asked.host, asked.port) !== undefined;
        for (const variant of [asked.host.toUpperCase(), `${asked.host}${asked.host.includes(':') ? '' : '.'}`]) {
          const verdict = judge(table, { ...asked, host: variant });
          if (isKnown) assert.equal(verdict, judge(table, asked));
          else assert.match(verdict, /^application_unknown/);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
