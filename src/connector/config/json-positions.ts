import { MAX_JSON_DEPTH } from '../../core/json.ts';

/** A place in a text, both from 1; the column in UTF-16 units, as editors count. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

interface At {
  /** Index of its first character. */
  readonly at: number;
}
export interface JsonMember extends At {
  readonly value: JsonNode;
}
/** A JSON value that knows where it stood. */
export type JsonNode =
  | (At & { readonly kind: 'object'; readonly members: ReadonlyMap<string, JsonMember> })
  | (At & { readonly kind: 'array'; readonly items: readonly JsonNode[] })
  | (At & { readonly kind: 'string'; readonly value: string })
  | (At & { readonly kind: 'number'; readonly value: number })
  | (At & { readonly kind: 'boolean'; readonly value: boolean })
  | (At & { readonly kind: 'null' });

/** Text that is not JSON (RFC 8259). The message is a sentence that quotes no value. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError';
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

const BLANK = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const WORD = /[\p{L}\p{N}_+.-]+/uy;
const BYTE_ORDER_MARK = '\ufeff';
const WORDS: ReadonlyMap<string, boolean | null> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
]);
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** Where in a text an index is. */
export function toPosition(text: string, at: number): Position {
  const before = text.slice(0, at);
  const lineStart = before.lastIndexOf('\n') + 1;
  const column = at - lineStart + (lineStart === 0 && text.startsWith(BYTE_ORDER_MARK) ? 0 : 1);
  return { line: before.split('\n').length, column: Math.max(column, 1) };
}

/**
 * Parses JSON strictly and keeps where each value stood: no comments, no trailing comma, at most
 * {@link MAX_JSON_DEPTH} levels. A byte order mark is skipped. Of members with one name the first counts;
 * each further one is told to `onDuplicate`.
 * @throws JsonSyntaxError
 */
export function parseJsonNodes(text: string, onDuplicate: (at: number, name: string) => void): JsonNode {
  let at = text.startsWith(BYTE_ORDER_MARK) ? 1 : 0;

  const fail = (message: string, where = at): never => {
    throw new JsonSyntaxError(where, message);
  };
  const match = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? '';
    at += found.length;
    return found;
  };
  const skipBlank = (): void => {
    match(BLANK);
    const next = text[at];
    if (next === '#' || (next === '/' && /[/*]/.test(text[at + 1] ?? ''))) {
      fail('comments cannot be used in configuration files');
    }
  };
  const complain = (expected: string): never => {
    const next = text[at];
    if (next === undefined) return fail(`the file ends here; ${expected} is missing`);
    if (next === "'" || /[“”„‘’]/.test(next)) return fail('write straight double quotes (") around names and texts');
    if (/\p{Control}/u.test(next)) return fail('a control character may not stand here');
    return fail(`${expected} must stand here`);
  };

  const readString = (): string => {
    const start = at++;
    let value = '';
    for (;;) {
      value += match(PLAIN);
      const next = text[at];
      if (next === '"') {
        at++;
        return value;
      }
      if (next === '\\') value += readEscape();
      else if (next === undefined || next === '\n' || next === '\r')
        fail('this text has no closing double quote', start);
      else fail('a control character may not stand in a text');
    }
  };
  const readEscape = (): string => {
    const letter = text[at + 1] ?? '';
    if (Object.hasOwn(ESCAPES, letter)) {
      at += 2;
      return ESCAPES[letter] ?? '';
    }
    const digits = text.slice(at + 2, at + 6);
    if (letter !== 'u' || !/^[\da-f]{4}$/i.test(digits)) fail('write \\\\ for a backslash, or / between folders');
    at += 6;
    return String.fromCharCode(Number.parseInt(digits, 16));
  };

  const readObject = (start: number, depth: number): JsonNode => {
    const members = new Map<string, JsonMember>();
    for (let isFirst = true; ; isFirst = false) {
      skipBlank();
      if (text[at] === '}' && isFirst) break;
      if (text[at] === '}') fail('a comma may not stand before }', lastComma);
      if (text[at] !== '"') complain('a name in double quotes');
      const nameAt = at;
      const name = readString();
      skipBlank();
      if (text[at] !== ':') complain('a colon');
      at++;
      const value = readValue(depth);
      if (members.has(name)) onDuplicate(nameAt, name);
      else members.set(name, { at: nameAt, value });
      if (readEnd('}')) break;
    }
    at++;
    return { kind: 'object', at: start, members };
  };
  const readArray = (start: number, depth: number): JsonNode => {
    const items: JsonNode[] = [];
    for (let isFirst = true; ; isFirst = false) {
      skipBlank();
      if (text[at] === ']' && isFirst) break;
      if (text[at] === ']') fail('a comma may not stand before ]', lastComma);
      items.push(readValue(depth));
      if (readEnd(']')) break;
    }
    at++;
    return { kind: 'array', at: start, items };
  };
  let lastComma = 0;
  /** @returns whether the closing bracket stands here; otherwise a comma was taken */
  const readEnd = (close: string): boolean => {
    skipBlank();
    if (text[at] === close) return true;
    if (text[at] !== ',') complain(`a comma or ${close}`);
    lastComma = at++;
    return false;
  };
  const readValue = (depth: number): JsonNode => {
    skipBlank();
    const start = at;
    const next = text[at];
    if (next === '"') return { kind: 'string', at: start, value: readString() };
    if (next === '{' || next === '[') {
      if (depth === MAX_JSON_DEPTH) fail(`is nested deeper than ${MAX_JSON_DEPTH} levels`);
      at++;
      return next === '{' ? readObject(start, depth + 1) : readArray(start, depth + 1);
    }
    return readWord(start);
  };
  const readWord = (start: number): JsonNode => {
    const word = match(WORD);
    const value = WORDS.get(word);
    if (value === null) return { kind: 'null', at: start };
    if (value !== undefined) return { kind: 'boolean', at: start, value };
    at = start;
    const isNumber = word !== '' && match(NUMBER) === word && Number.isFinite(Number(word));
    if (isNumber) return { kind: 'number', at: start, value: Number(word) };
    at = start;
    if (/^\p{L}/u.test(word)) fail('a text must stand in double quotes; without them only true, false and null');
    return word === '' ? complain('a value') : fail('this is not a number as JSON writes it');
  };

  const root = readValue(0);
  skipBlank();
  return at < text.length ? fail('nothing may follow the value') : root;
}
