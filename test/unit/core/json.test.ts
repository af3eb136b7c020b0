import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as fc from 'fast-check';

import { isJsonObject, JsonError, MAX_JSON_DEPTH, parseJsonObject } from '../../../src/core/json.ts';

const nest = (open: string, inner: string, close: string, levels: number): string =>
  `{"a":${open.repeat(levels)}${inner}${close.repeat(levels)}}`;

const PUNCTUATION = ['{', '}', '[', ']', ':', ',', '"', '\\', '\\u0061', 'a', '1', '.', ' ', '\n'];

const DUPLICATE = /^has a member twice$/;
const INVALID = /^is not valid JSON$/;
const NO_OBJECT = /^is not a JSON object$/;
const TOO_DEEP = /^is nested deeper than 32 levels$/;

const refused: Record<string, { text: string; message: RegExp }> = {
  nothing: { text: '', message: INVALID },
  'white space': { text: ' \n\t ', message: INVALID },
  'a word': { text: 'undefined', message: INVALID },
  null: { text: 'null', message: NO_OBJECT },
  'a number': { text: '1', message: NO_OBJECT },
  'a string': { text: '"{}"', message: NO_OBJECT },
  'a string with a colon': { text: '":"', message: NO_OBJECT },
  'an array': { text: '[{"a":1}]', message: NO_OBJECT },
  'a duplicate': { text: '{"a":1,"a":2}', message: DUPLICATE },
  'a duplicate of the same value': { text: '{"a":1,"a":1}', message: DUPLICATE },
  'three of one name': { text: '{"a":1,"a":2,"a":3}', message: DUPLICATE },
  'a duplicate whose name is escaped': { text: '{"a":1,"\\u0061":2}', message: DUPLICATE },
  'a duplicate with two ways to escape it': { text: '{"\\/":1,"\\u002f":2}', message: DUPLICATE },
  'a duplicate with hexadecimal digits of both cases': { text: '{"\\u00e4":1,"\\u00E4":2}', message: DUPLICATE },
  'a duplicate empty name': { text: '{"":1,"":2}', message: DUPLICATE },
  'a duplicate in an object': { text: '{"o":{"b":1,"b":2}}', message: DUPLICATE },
  'a duplicate in an array': { text: '{"o":[1,{"b":1,"b":2}]}', message: DUPLICATE },
  'a duplicate behind a clean object': { text: '{"o":{"b":1},"p":{"b":1,"c":2,"b":3}}', message: DUPLICATE },
  'a duplicate whose first value is an object': { text: '{"a":{"b":1,"c":2},"a":1}', message: DUPLICATE },
  'a duplicate of __proto__': { text: '{"__proto__":1,"__proto__":2}', message: DUPLICATE },
  'a duplicate of __proto__, escaped': { text: '{"__proto__":{},"\\u005f_proto__":{}}', message: DUPLICATE },
  'a duplicate beside a colon in a string': { text: '{"a:":":","a:":":\\":"}', message: DUPLICATE },
  'a duplicate with a lone surrogate': { text: '{"\\ud800":1,"\\uD800":2}', message: DUPLICATE },
  'a duplicate that looks like an index': { text: '{"0":1,"0":2}', message: DUPLICATE },
  'a duplicate at the greatest depth': {
    text: nest('[', '{"b":1,"b":2}', ']', MAX_JSON_DEPTH - 2),
    message: DUPLICATE,
  },
  'arrays that are too deep': { text: nest('[', '', ']', MAX_JSON_DEPTH), message: TOO_DEEP },
  'objects that are too deep': { text: nest('{"a":', '1', '}', MAX_JSON_DEPTH), message: TOO_DEEP },
  'a million brackets': { text: '['.repeat(1_000_000), message: TOO_DEEP },
  'a million braces': { text: '{"a":'.repeat(1_000_000), message: TOO_DEEP },
  'an open string': { text: '{"a":"', message: INVALID },
  'an open string that ends in a backslash': { text: '{"a":"\\', message: INVALID },
  'an escaped quote at the end': { text: '{"a":"b\\"}', message: INVALID },
  'more brackets closed than opened': {
    text: `{"a":${']'.repeat(100)}${'['.repeat(40)}`,
    message: /not valid JSON$/,
  },
  'a trailing comma': { text: '{"a":1,}', message: INVALID },
  'a comment': { text: '{"a":1/* : */}', message: INVALID },
  'single quotes': { text: "{'a':1}", message: INVALID },
  'a bare name': { text: '{a:1}', message: INVALID },
  NaN: { text: '{"a":NaN}', message: INVALID },
  Infinity: { text: '{"a":-Infinity}', message: INVALID },
  'a hexadecimal number': { text: '{"a":0x10}', message: INVALID },
  'a leading zero': { text: '{"a":01}', message: INVALID },
  'a line feed in a string': { text: '{"a":"\n"}', message: INVALID },
  'a byte order mark': { text: '\ufeff{}', message: INVALID },
  'something behind the object': { text: '{"a":1}{"b":2}', message: INVALID },
  'a NUL behind the object': { text: '{"a":1}\u0000', message: INVALID },
};

const accepted: Record<string, { text: string; value: unknown }> = {
  'an empty object': { text: '{}', value: {} },
  'white space around it': { text: ' \r\n\t{ } ', value: {} },
  'the same name on two levels': { text: '{"a":{"a":{"a":1}}}', value: { a: { a: { a: 1 } } } },
  'the same name in two objects of an array': { text: '{"l":[{"a":1},{"a":2}]}', value: { l: [{ a: 1 }, { a: 2 }] } },
  'names that differ in case': { text: '{"a":1,"A":2}', value: { a: 1, A: 2 } },
  'names that differ in their Unicode form': { text: '{"\u00e9":1,"e\u0301":2}', value: { '\u00e9': 1, 'e\u0301': 2 } },
  'punctuation in strings': { text: '{"a:{":"}:[\\"{:,"}', value: { 'a:{': '}:["{:,' } },
  'backslashes before the end of a string': { text: '{"a\\\\":"b\\\\\\\\","c":1}', value: { 'a\\': 'b\\\\', c: 1 } },
  'a lone surrogate': { text: '{"a":"\\ud800"}', value: { a: '\ud800' } },
  'an escaped NUL': { text: '{"a":"\\u0000"}', value: { a: '\u0000' } },
  'line separators': { text: '{"a":"\u2028\u2029"}', value: { a: '\u2028\u2029' } },
  'a number that is too great': { text: '{"a":1e999}', value: { a: Infinity } },
  'a number with more digits than fit': { text: '{"a":9007199254740993}', value: { a: 9007199254740992 } },
  'minus zero': { text: '{"a":-0}', value: { a: -0 } },
  'the greatest depth': {
    text: nest('[', '', ']', MAX_JSON_DEPTH - 1),
    value: JSON.parse(nest('[', '', ']', MAX_JSON_DEPTH - 1)),
  },
};

describe('parseJsonObject', () => {
  for (const [name, { text, message }] of Object.entries(refused)) {
    test(`refuses ${name}`, () => {
      assert.throws(
        () => parseJsonObject(text),
        (error) => error instanceof JsonError && message.test(error.message),
      );
    });
  }

  for (const [name, { text, value }] of Object.entries(accepted)) {
    test(`takes ${name}`, () => assert.deepEqual(parseJsonObject(text), value));
  }

  test('__proto__ is a member like any other, and changes no prototype', () => {
    const value = parseJsonObject('{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}}');
    assert.ok(Object.hasOwn(value, '__proto__'));
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
    assert.equal(value['isAdmin'], undefined);
    assert.equal(Reflect.get({}, 'isAdmin'), undefined);
  });

  test('whatever JSON.stringify writes of an object is read as it was', () => {
    const depth = { maxDepth: 6, depthSize: 'medium' } as const;
    const objects = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ ...depth, stringUnit: 'binary' }));
    fc.assert(
      fc.property(objects, fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        assert.deepEqual(parseJsonObject(text), JSON.parse(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test('a name that is written twice is refused wherever it stands and however it is escaped', () => {
    const escape = (name: string): string =>
      `"${[...Array(name.length).keys()].map((at) => `\\u${name.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`;
    const parts = {
      name: fc.string({ unit: 'binary' }),
      others: fc.dictionary(fc.string(), fc.jsonValue()),
      levels: fc.nat(20),
    };
    fc.assert(
      fc.property(fc.record({ ...parts, isEscaped: fc.boolean() }), ({ name, others, levels, isEscaped }) => {
        const members = Object.entries(others).filter(([key]) => key !== name);
        const between = members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)},`).join('');
        const twice = `{${JSON.stringify(name)}:1,${between}${isEscaped ? escape(name) : JSON.stringify(name)}:1}`;
        assert.throws(() => parseJsonObject(nest('[', twice, ']', levels)), { message: 'has a member twice' });
      }),
      { numRuns: 2_000 },
    );
  });

  test('any text is parsed as JSON.parse does, or refused with a JsonError', () => {
    const text = fc.string({ unit: fc.constantFrom(...PUNCTUATION) });
    fc.assert(
      fc.property(fc.oneof(text, fc.string()), (hostile) => {
        try {
          assert.deepEqual(parseJsonObject(hostile), JSON.parse(hostile));
        } catch (error) {
          assert.ok(error instanceof JsonError, String(error));
        }
      }),
      { numRuns: 5_000 },
    );
  });

  test('the message never quotes the text', () => {
    for (const { text } of Object.values(refused)) {
      assert.throws(
        () => parseJsonObject(`{"secret-value":${text}`),
        (error) => error instanceof JsonError && !error.message.includes('secret') && error.cause === undefined,
      );
    }
  });

  test('a megabyte of quotes and backslashes takes its length, not its square', () => {
    const startedAtMs = performance.now();
    for (const unit of ['\\\\', '\\"', '\\\\\\"']) {
      const inner = unit.repeat(Math.floor(1_000_000 / unit.length));
      assert.equal(typeof parseJsonObject(`{"a":"${inner}"}`)['a'], 'string');
    }
    assert.ok(performance.now() - startedAtMs < 2_000, `${performance.now() - startedAtMs} ms`);
  });
});

test('isJsonObject takes objects alone', () => {
  for (const value of [{}, { a: 1 }, Object.create(null)]) assert.equal(isJsonObject(value), true);
  for (const value of [null, undefined, [], '', 'a', 0, true, () => 1]) assert.equal(isJsonObject(value), false);
});
