import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { Ajv, type ValidateFunction } from 'ajv';
import { parse } from 'yaml';

/** Who sends a frame, as clients see it. */
export type Direction = 'send' | 'receive';

interface Document {
  readonly channels: { readonly bot: { readonly messages: Readonly<Record<string, { readonly payload: object }>> } };
  readonly operations: Readonly<
    Record<string, { readonly action: Direction; readonly messages: readonly { $ref: string }[] }>
  >;
}

let validators: Readonly<Record<Direction, ReadonlyMap<string, ValidateFunction>>> | undefined;

/** The messages of docs/asyncapi.yaml, each with what checks it. */
function loadValidators(): NonNullable<typeof validators> {
  const { channels, operations } = parse(readFileSync('docs/asyncapi.yaml', 'utf8')) as Document;
  const ajv = new Ajv({ strict: false });
  const toMap = (action: Direction): ReadonlyMap<string, ValidateFunction> => {
    const { messages = [] } = Object.values(operations).find((operation) => operation.action === action) ?? {};
    const names = messages.map(({ $ref }) => $ref.slice($ref.lastIndexOf('/') + 1));
    return new Map(names.map((name) => [name, ajv.compile(channels.bot.messages[name]?.payload ?? false)]));
  };
  return { send: toMap('send'), receive: toMap('receive') };
}

/** The messages of the description that a frame is. */
export function findDescriptions(direction: Direction, frame: unknown): string[] {
  validators ??= loadValidators();
  return [...validators[direction]].filter(([, validate]) => validate(frame)).map(([name]) => name);
}

/** Every message that the description has. */
export function listDescriptions(direction: Direction): string[] {
  validators ??= loadValidators();
  return [...validators[direction].keys()];
}

/** That a frame is exactly one of the messages that docs/asyncapi.yaml describes. */
export function assertDescribed(direction: Direction, frame: unknown): void {
  const found = findDescriptions(direction, frame);
  assert.equal(found.length, 1, `described as ${found.join(', ') || 'nothing'}: ${JSON.stringify(frame)}`);
}
