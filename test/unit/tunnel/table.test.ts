import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { AccessRule } from '../../../src/tunnel/access.ts';
import { MAX_TABLE_BYTES } from '../../../src/tunnel/limits.ts';
import {
  MAX_METHODS_PER_RULE,
  MAX_PATHS_PER_RULE,
  MAX_RULE_NAME_LENGTH,
  MAX_RULES,
  parseTable,
  toTableJson,
} from '../../../src/tunnel/table.ts';

const RULE: AccessRule = {
  host: 'crm.virtual',
  port: 8080,
  name: 'CRM “two”',
  allowedPaths: ['/api/*', '/health'],
  allowedMethods: ['GET', 'M-SEARCH'],
  upgrade: false,
  allowEncodedSlash: false,
};
const MANY = Array.from({ length: MAX_RULES }, (_, at) => ({ ...RULE, host: `h${at}` }));

const toJson = (...rules: readonly unknown[]): string => JSON.stringify({ rules });
const withChanges = (changes: object): string => toJson({ ...RULE, ...changes });

describe('toTableJson', () => {
  it('is what parseTable reads', () => {
    const { allowedMethods: _, ...open } = { ...RULE, port: 80, allowedPaths: '/*' as const };
    assert.deepEqual(parseTable(toTableJson([RULE, open])), [RULE, open]);
    assert.deepEqual(parseTable(toTableJson([])), []);
    assert.deepEqual(parseTable(toTableJson(MANY)), MANY);
  });

  it('says nothing of the inside', () => {
    const inner = { ...RULE, internalHost: '10.1.2.3', ca: 'secret.pem' };
    assert.equal(toTableJson([inner]), toJson(RULE));
  });

  it('throws for what a gateway would refuse', () => {
    assert.throws(() => toTableJson([RULE, RULE]), { name: 'TableError' });
  });
});

describe('parseTable', () => {
  it('passes over members of a newer agent', () => {
    assert.deepEqual(parseTable(JSON.stringify({ version: 2, rules: [{ ...RULE, later: true }] })), [RULE]);
  });

  const REFUSED: Readonly<Record<string, readonly [string, RegExp]>> = {
    'no JSON': ['{', /^The table is not valid JSON\.$/],
    'an array': ['[]', /is not a JSON object/],
    'a member twice': ['{"rules":[],"rules":[]}', /has a member twice/],
    'a member twice within a rule': [toJson(RULE).replace('{"host"', '{"port":1,"host"'), /has a member twice/],
    'no rules': ['{}', /"rules" is not right/],
    'rules that are no array': ['{"rules":{}}', /"rules" is not right/],
    'a rule that is none': [toJson(null), /"rules\.0" is not right/],
    'no host': [withChanges({ host: undefined }), /"rules\.0\.host"/],
    'a host in capitals': [withChanges({ host: 'CRM.virtual' }), /"rules\.0\.host"/],
    'a host with a final dot': [withChanges({ host: 'crm.virtual.' }), /"rules\.0\.host"/],
    'a host with brackets': [withChanges({ host: '[fd00::1]' }), /"rules\.0\.host"/],
    'a host with a port': [withChanges({ host: 'crm:80' }), /"rules\.0\.host"/],
    'a host of a wildcard': [withChanges({ host: '*' }), /"rules\.0\.host"/],
    'a port as text': [withChanges({ port: '80' }), /"rules\.0\.port"/],
    'port zero': [withChanges({ port: 0 }), /"rules\.0\.port"/],
    'a port too high': [withChanges({ port: 65_536 }), /"rules\.0\.port"/],
    'a port with a fraction': [withChanges({ port: 80.5 }), /"rules\.0\.port"/],
    'an empty name': [withChanges({ name: '' }), /"rules\.0\.name"/],
    'a name with a line end': [withChanges({ name: 'a\nb' }), /"rules\.0\.name"/],
    'a name too long': [withChanges({ name: 'x'.repeat(MAX_RULE_NAME_LENGTH + 1) }), /"rules\.0\.name"/],
    'no paths': [withChanges({ allowedPaths: undefined }), /"rules\.0\.allowedPaths"/],
    'one path as text': [withChanges({ allowedPaths: '/api/*' }), /"rules\.0\.allowedPaths/],
    'a path that goes up': [withChanges({ allowedPaths: ['/a/../b'] }), /"rules\.0\.allowedPaths/],
    'a path with a query': [withChanges({ allowedPaths: ['/a?b'] }), /"rules\.0\.allowedPaths/],
    'too many paths': [withChanges({ allowedPaths: Array(MAX_PATHS_PER_RULE + 1).fill('/a') }), /allowedPaths/],
    'a method in small letters': [withChanges({ allowedMethods: ['get'] }), /"rules\.0\.allowedMethods/],
    'methods that are null': [withChanges({ allowedMethods: null }), /"rules\.0\.allowedMethods/],
    'too many methods': [withChanges({ allowedMethods: Array(MAX_METHODS_PER_RULE + 1).fill('GET') }), /Methods/],
    'an upgrade that is no boolean': [withChanges({ upgrade: 'yes' }), /"rules\.0\.upgrade"/],
    'encoded slashes left open': [withChanges({ allowEncodedSlash: undefined }), /"rules\.0\.allowEncodedSlash"/],
    'two rules of one address': [toJson(RULE, { ...RULE, name: 'other' }), /two rules of one host and port/],
    'too many rules': [toJson(...MANY, RULE), /"rules" is not right/],
    'too many bytes': [`{"rules":[]${' '.repeat(MAX_TABLE_BYTES)}}`, /over 1048576 bytes/],
    'too many bytes in fewer characters': [
      `{"rules":[],"x":"${'é'.repeat(MAX_TABLE_BYTES / 2)}"}`,
      /over 1048576 bytes/,
    ],
  };
  for (const [name, [json, message]] of Object.entries(REFUSED)) {
    it(`refuses ${name}`, () => assert.throws(() => parseTable(json), { name: 'TableError', message }));
  }

  it('quotes nothing of what it refuses', () => {
    assert.throws(
      () => parseTable(withChanges({ host: 'SECRET', name: 'SECRET\n', allowedPaths: ['SECRET'] })),
      (error: Error) => !error.message.includes('SECRET'),
    );
  });
});
