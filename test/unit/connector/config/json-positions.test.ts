import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import {
  type JsonNode,
  JsonSyntaxError,
  parseJsonNodes,
  toPosition,
} from '../../../../src/connector/config/json-positions.ts';
import { MAX_JSON_DEPTH } from '../../../../src/core/json.ts';

function toValue(node: JsonNode): unknown {
  if (node.kind === 'object')
    return Object.fromEntries([...node.members].map(([name, { value }]) => [name, toValue(value)]));
  if (node.kind === 'array') return node.items.map(toValue);
  return node.kind === 'null' ? null : node.value;
}

/** `line:column message`, or the value where the text is JSON. */
function outcome(text: string): unknown {
  const duplicates: string[] = [];
  const place = (at: number): string => Object.values(toPosition(text, at)).join(':');
  try {
    const value = toValue(parseJsonNodes(text, (at, name) => duplicates.push(`${place(at)} ${name}`)));
    return duplicates.length > 0 ? duplicates : { value };
  } catch (error) {
    assert.ok(error instanceof JsonSyntaxError);
    return `${place(error.at)} ${error.message}`;
  }
}

const COMMENT = 'comments cannot be used in configuration files';
const BACKSLASH = 'write \\\\ for a backslash, or / between folders';
const QUOTES = 'write straight double quotes (") around names and texts';
const BARE = 'a text must stand in double quotes; without them only true, false and null';
const NO_NUMBER = 'this is not a number as JSON writes it';

const refused: Record<string, [text: string, outcome: string]> = {
  nothing: ['', '1:1 the file ends here; a value is missing'],
  blanks: [' \n ', '2:2 the file ends here; a value is missing'],
  'a line comment': ['{\n  // the key\n  "a": 1\n}', `2:3 ${COMMENT}`],
  'a block comment after a value': ['{ "a": 1 /* one */ }', `1:10 ${COMMENT}`],
  'a comment of a shell': ['# what\n{}', `1:1 ${COMMENT}`],
  'a comment at the end': ['{}\n// done', `2:1 ${COMMENT}`],
  'a comma before }': ['{\n  "a": 1,\n}', '2:9 a comma may not stand before }'],
  'a comma before ]': ['[1, 2, ]', '1:6 a comma may not stand before ]'],
  'a comma alone': ['{,}', '1:2 a name in double quotes must stand here'],
  'two commas': ['[1,,2]', '1:4 a value must stand here'],
  'no comma between members': ['{\n  "a": 1\n  "b": 2\n}', '3:3 a comma or } must stand here'],
  'no comma between items': ['["a" "b"]', '1:6 a comma or ] must stand here'],
  'no colon': ['{"a" 1}', '1:6 a colon must stand here'],
  'no value': ['{"a":}', '1:6 a value must stand here'],
  'the wrong bracket': ['{"a":[1}', '1:8 a comma or ] must stand here'],
  'an open object': ['{"a":1', '1:7 the file ends here; a comma or } is missing'],
  'an open text': ['{"a":"b\n}', '1:6 this text has no closing double quote'],
  'an open text at the end': ['"a', '1:1 this text has no closing double quote'],
  'a backslash of Windows': ['{"key":".\\credentials\\x"}', `1:10 ${BACKSLASH}`],
  'half an escape': ['"\\u12"', `1:2 ${BACKSLASH}`],
  'a tab in a text': ['"a\tb"', '1:3 a control character may not stand in a text'],
  'a control character': ['{\u0001}', '1:2 a control character may not stand here'],
  'single quotes': ["{'a':1}", `1:2 ${QUOTES}`],
  'curly quotes': ['{“a”:1}', `1:2 ${QUOTES}`],
  'a name without quotes': ['{a:1}', '1:2 a name in double quotes must stand here'],
  'a bare text': ['{"a": info}', `1:7 ${BARE}`],
  True: ['{"a": True}', `1:7 ${BARE}`],
  NaN: ['[NaN]', `1:2 ${BARE}`],
  'a leading zero': ['[08080]', `1:2 ${NO_NUMBER}`],
  'a hexadecimal number': ['[0x1F]', `1:2 ${NO_NUMBER}`],
  'an endless number': ['[1e999]', `1:2 ${NO_NUMBER}`],
  'a plus': ['[+1]', `1:2 ${NO_NUMBER}`],
  'something behind': ['{} {}', '1:4 nothing may follow the value'],
  'two byte order marks': ['\ufeff\ufeff{}', '1:1 a value must stand here'],
  'too deep': ['['.repeat(MAX_JSON_DEPTH + 1), `1:${MAX_JSON_DEPTH + 1} is nested deeper than 32 levels`],
  'a million brackets': ['['.repeat(1_000_000), `1:${MAX_JSON_DEPTH + 1} is nested deeper than 32 levels`],
};

describe('parseJsonNodes', () => {
  for (const [name, [text, expected]] of Object.entries(refused)) {
    it(`refuses ${name}`, () => assert.equal(outcome(text), expected));
  }

  it('skips a byte order mark, which is no column', () => {
    assert.deepEqual(outcome('\ufeff{"a":1}'), { value: { a: 1 } });
    assert.equal(outcome('\ufeff{x}'), '1:2 a name in double quotes must stand here');
  });

  it('counts lines that end in CR LF', () => {
    assert.equal(outcome('{\r\n "a": 1,\r\n "b": x\r\n}'), `3:7 ${BARE}`);
  });

  it('names each member that stands twice, escaped too, and __proto__', () => {
    assert.deepEqual(outcome('{"a":1,\n"a":2, "\\u0061":3}'), ['2:1 a', '2:8 a']);
    assert.deepEqual(outcome('{"__proto__":1,"__proto__":2}'), ['1:16 __proto__']);
  });

  it('reads what JSON.parse reads, and nothing else', () => {
    const punctuation = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"',
      '\\',
      'a',
      '1',
      '-',
      '.',
      'e',
      ' ',
      '\n',
      'null',
    );
    const text = fc.oneof(
      fc.json(),
      fc.array(punctuation, { maxLength: 12 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(text, (given) => {
        const found = outcome(given);
        const isTaken = typeof found === 'object' && !Array.isArray(found);
        if (Array.isArray(found)) return;
        let expected: unknown;
        try {
          expected = { value: JSON.parse(given) as unknown };
        } catch {
          assert.equal(typeof found, 'string');
          return;
        }
        const isDeep = typeof found === 'string' && found.endsWith('levels');
        const isEndless = typeof found === 'string' && found.endsWith(NO_NUMBER);
        if (!isDeep && !isEndless) assert.deepEqual({ isTaken, found }, { isTaken: true, found: expected });
      }),
      { numRuns: 2_000 },
    );
  });
});
