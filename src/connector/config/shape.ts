import type { ConfigFiles } from './config-files.ts';
import { suggestName } from './faults.ts';
import type { JsonNode } from './json-positions.ts';

/** What a reader may use: where to tell faults, the files that are named, the time. */
export interface Scope {
  fault(at: number, field: string, sentence: string): void;
  /** About what works but should be looked at. */
  warn(at: number, field: string, sentence: string): void;
  readonly files: Pick<ConfigFiles, 'read' | 'toPath' | 'toName' | 'findNoFolder'>;
  readonly nowSeconds: number;
}

/** Takes a value, or tells each of its faults and gives undefined. `field` is its dotted name, empty for the root. */
export type Reader<T> = (node: JsonNode, field: string, scope: Scope) => T | undefined;

/** A member of an object: whether it is there in what comes out, and what counts where it was left out. */
export interface Member<T, Always extends boolean> {
  readonly read: Reader<T>;
  readonly always: Always;
  readonly fallback?: string | number | boolean | null;
}

/** A member that must be given. */
export const must = <T>(read: Reader<T>): Member<T, true> => ({ read, always: true });
/** A member that may be left out. */
export const may = <T>(read: Reader<T>): Member<T, false> => ({ read, always: false });
/** A member that has a value where it is left out; `null` stands for an object without members. */
export const or = <T>(read: Reader<T>, fallback: string | number | boolean | null): Member<T, true> => ({
  read,
  always: true,
  fallback,
});

type Shape = Readonly<Record<string, Member<unknown, boolean>>>;
type Value<M> = M extends { readonly read: (...args: never[]) => infer T } ? Exclude<T, undefined> : never;
type Always<M> = M extends { readonly always: true } ? true : false;
/** What an object of a shape comes out as. */
export type Whole<M> = {
  readonly [K in keyof M as Always<M[K]> extends true ? K : never]: Value<M[K]>;
} & { readonly [K in keyof M as Always<M[K]> extends true ? never : K]?: Value<M[K]> };

const KINDS: Readonly<Record<JsonNode['kind'], string>> = {
  object: 'must be an object, {…}',
  array: 'must be a list, […]',
  string: 'must be a text in double quotes',
  number: 'must be a number',
  boolean: 'must be true or false, without quotes',
  null: 'must be null',
};

/** The node where it has the kind; a fault otherwise. */
export function take<K extends JsonNode['kind']>(
  kind: K,
  node: JsonNode,
  field: string,
  scope: Scope,
): Extract<JsonNode, { kind: K }> | undefined {
  if (node.kind === kind) return node as Extract<JsonNode, { kind: K }>;
  scope.fault(node.at, field, KINDS[kind]);
  return undefined;
}

/** An object of exactly these members. Undefined where any of them has a fault, so that nothing is concluded from it. */
export function object<M extends Shape>(shape: M): Reader<Whole<M>> {
  const names = Object.keys(shape);
  return (node, field, scope) => {
    const members = take('object', node, field, scope)?.members;
    if (members === undefined) return undefined;
    let isWhole = true;
    for (const [name, { at }] of members) {
      if (Object.hasOwn(shape, name)) continue;
      isWhole = false;
      scope.fault(at, toField(field, name), `there is no such setting${toHint(name, names)}`);
    }
    const values = new Map<string, unknown>();
    for (const [name, member] of Object.entries(shape)) {
      const given = members.get(name)?.value ?? toNode(member.fallback, node.at);
      const value = given && member.read(given, toField(field, name), scope);
      if (value !== undefined) values.set(name, value);
      else if (given !== undefined) isWhole = false;
      else if (member.always) {
        isWhole = false;
        scope.fault(node.at, toField(field, name), `is missing`);
      }
    }
    return isWhole ? (Object.fromEntries(values) as Whole<M>) : undefined;
  };
}

const toField = (parent: string, name: string): string => (parent === '' ? name : `${parent}.${name}`).slice(0, 100);

function toHint(name: string, names: readonly string[]): string {
  const suggestion = suggestName(name, names);
  return suggestion === undefined ? `; there are ${names.join(', ')}` : `; did you mean "${suggestion}"?`;
}

function toNode(fallback: string | number | boolean | null | undefined, at: number): JsonNode | undefined {
  if (fallback === undefined) return undefined;
  if (fallback === null) return { kind: 'object', at, members: new Map() };
  if (typeof fallback === 'string') return { kind: 'string', at, value: fallback };
  if (typeof fallback === 'number') return { kind: 'number', at, value: fallback };
  return { kind: 'boolean', at, value: fallback };
}

/** A list. Undefined where any of its items has a fault. */
export function list<T>(read: Reader<T>, min: number, max: number): Reader<readonly T[]> {
  return (node, field, scope) => {
    const items = take('array', node, field, scope)?.items;
    if (items === undefined) return undefined;
    if (items.length < min) scope.fault(node.at, field, `must name at least ${min}`);
    if (items.length > max) scope.fault(node.at, field, `must have at most ${max} items`);
    if (items.length < min || items.length > max) return undefined;
    const values = items.map((item) => read(item, field, scope));
    return values.some((value) => value === undefined) ? undefined : (values as T[]);
  };
}

/** A text that `parse` takes; the message of what it throws is the rest of a sentence. */
export function text<T>(parse: (value: string, scope: Scope) => T): Reader<T> {
  return (node, field, scope) => {
    const value = take('string', node, field, scope)?.value;
    if (value === undefined) return undefined;
    try {
      if (value.trim() === '') throw new Error('is empty');
      if (/[\p{Control}\p{Surrogate}]/u.test(value)) throw new Error('has a control character');
      return parse(value, scope);
    } catch (error) {
      scope.fault(node.at, field, error instanceof Error ? error.message : 'cannot be taken');
      return undefined;
    }
  };
}

export const flag: Reader<boolean> = (node, field, scope) => take('boolean', node, field, scope)?.value;

/** A whole number, also as a text of digits. */
export function wholeNumber(min: number, max: number, what = 'a whole number'): Reader<number> {
  return (node, field, scope) => {
    let value = Number.NaN;
    if (node.kind === 'number') value = node.value;
    if (node.kind === 'string' && /^\d{1,15}$/.test(node.value)) value = Number(node.value);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    const isPlaceholder = node.kind === 'string' && node.value === 'portnumber';
    const hint = isPlaceholder ? '; "portnumber" only stands for yours' : '';
    scope.fault(node.at, field, `must be ${what} from ${min} to ${max}${hint}`);
    return undefined;
  };
}

export const port = wholeNumber(1, 65_535, 'a port');

/** One of these texts, in any case. */
export function oneOf<const V extends string>(values: readonly V[]): Reader<V> {
  return text((given) => {
    const value = values.find((one) => one.toLowerCase() === given.toLowerCase());
    if (value === undefined) throw new Error(`must be one of ${values.join(', ')}`);
    return value;
  });
}
