/** Arrays and objects inside each other, at most. Deeper input is refused before it is parsed. */
export const MAX_JSON_DEPTH = 32;

const QUOTE = 34;
const COLON = 58;
const BACKSLASH = 92;
const OPEN = new Set([91, 123]);
const CLOSE = new Set([93, 125]);

/** A JSON object whose members nobody has checked yet. */
export type JsonObject = { readonly [name: string]: unknown };

/** Text that is not the JSON object it should be. The message is the rest of a sentence about it and quotes nothing. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

/**
 * Parses a JSON object strictly: no duplicate member anywhere (RFC 8259 §4 leaves their meaning open, and two
 * readers that differ are an attack), at most {@link MAX_JSON_DEPTH} levels.
 * @throws JsonError
 */
export function parseJsonObject(text: string): JsonObject {
  const memberCount = countMembers(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new JsonError('is not valid JSON');
  }
  if (!isJsonObject(value)) throw new JsonError('is not a JSON object');
  // JSON.parse keeps the last of two members of one name, so a text with duplicates has more colons than members.
  if (countKeys(value) !== memberCount) throw new JsonError('has a member twice');
  return value;
}

/** Whether a value is an object in JSON's sense: not null, not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function countMembers(text: string): number {
  let depth = 0;
  let members = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) {
      at = findStringEnd(text, at);
    } else if (char === COLON) {
      members++;
    } else if (OPEN.has(char)) {
      if (++depth > MAX_JSON_DEPTH) throw new JsonError(`is nested deeper than ${MAX_JSON_DEPTH} levels`);
    } else if (CLOSE.has(char)) {
      depth--;
    }
  }
  return members;
}

function findStringEnd(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at;
  }
  return text.length;
}

function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + countKeys(item), 0);
  let count = 0;
  for (const key of Object.keys(value)) count += 1 + countKeys((value as JsonObject)[key]);
  return count;
}
