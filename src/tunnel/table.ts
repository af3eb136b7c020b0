import * as z from 'zod';

import { JsonError, parseJsonObject } from '../core/json.ts';
import { isUnfitForName } from '../core/name.ts';
import { type AccessRule, METHOD } from './access.ts';
import { MAX_PORT, parseHost } from './host.ts';
import { MAX_TABLE_BYTES } from './limits.ts';
import { checkPathEntry, PathError } from './paths.ts';

/** Applications of one access control, at most. */
export const MAX_RULES = 1_000;
/** Entries of one application's `allowedPaths`, at most. */
export const MAX_PATHS_PER_RULE = 1_000;
/** Methods of one application, at most. */
export const MAX_METHODS_PER_RULE = 40;
/** The name of an application, in characters. */
export const MAX_RULE_NAME_LENGTH = 253;

/** A table that is refused. The message is a whole sentence and quotes nothing of it. */
export class TableError extends Error {
  override readonly name = 'TableError';
}

const pathEntry = z.string().superRefine((entry, context) => {
  try {
    checkPathEntry(entry);
  } catch (error) {
    if (!(error instanceof PathError)) throw error;
    context.addIssue({ code: 'custom', message: error.message });
  }
});

const rule = z.object({
  host: z.string().refine((host) => parseHost(host) === host, 'is not a host in lower case'),
  port: z.int().min(1).max(MAX_PORT),
  name: z
    .string()
    .min(1)
    .max(MAX_RULE_NAME_LENGTH)
    .refine((name) => !isUnfitForName(name), 'has a control character'),
  allowedPaths: z.union([z.literal('/*'), z.array(pathEntry).max(MAX_PATHS_PER_RULE)]),
  allowedMethods: z.array(z.string().regex(METHOD)).max(MAX_METHODS_PER_RULE).optional(),
  upgrade: z.boolean(),
  allowEncodedSlash: z.boolean(),
});

const table = z.object({ rules: z.array(rule).max(MAX_RULES) });

/** A rule without anything that is not for the gateway. */
function toPublicRule({
  host,
  port,
  name,
  allowedPaths,
  allowedMethods,
  upgrade,
  allowEncodedSlash,
}: z.infer<typeof rule> | AccessRule): AccessRule {
  const methods = allowedMethods === undefined ? {} : { allowedMethods };
  return { host, port, name, allowedPaths, ...methods, upgrade, allowEncodedSlash };
}

/**
 * The text that an agent sends of its table; {@link parseTable} reads it back.
 * SECURITY: what else the objects may carry, such as the internal host, does not leave the agent.
 * @throws TableError where a gateway would refuse it
 */
export function toTableJson(rules: readonly AccessRule[]): string {
  const json = JSON.stringify({ rules: rules.map(toPublicRule) });
  parseTable(json);
  return json;
}

/**
 * Reads the table that an agent sent. Members that are not known here are passed over, since the agent checks by itself
 * and may be newer.
 * @throws TableError over {@link MAX_TABLE_BYTES} or {@link MAX_RULES}, for anything that is no rule, or two rules of one address
 */
export function parseTable(json: string): readonly AccessRule[] {
  if (Buffer.byteLength(json) > MAX_TABLE_BYTES) throw new TableError(`The table is over ${MAX_TABLE_BYTES} bytes.`);
  const read = table.safeParse(parseObject(json));
  if (!read.success) {
    const { path, message } = read.error.issues[0] ?? { path: [], message: 'cannot be read' };
    throw new TableError(`The table's "${path.join('.')}" is not right: ${message}.`);
  }
  const addresses = new Set<string>();
  for (const { host, port } of read.data.rules) addresses.add(`${port} ${host}`);
  if (addresses.size < read.data.rules.length) throw new TableError('The table has two rules of one host and port.');
  return read.data.rules.map(toPublicRule);
}

function parseObject(json: string): unknown {
  try {
    return parseJsonObject(json);
  } catch (error) {
    throw error instanceof JsonError ? new TableError(`The table ${error.message}.`) : error;
  }
}
