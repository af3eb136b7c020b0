import type { z } from 'zod';

import { AppError } from '../core/errors.ts';

/** What one answer says at most. */
const MAX_SENTENCES = 10;
const MAX_DETAIL_LENGTH = 1_000;

type Issue = z.core.$ZodIssue;

/** How each kind of issue is said; the field's name stands before it. */
const SENTENCES: { readonly [Code in Issue['code']]?: (issue: Extract<Issue, { code: Code }>) => string } = {
  invalid_type: ({ expected }) => `must be ${/^[aeio]/.test(expected) ? 'an' : 'a'} ${expected}`,
  invalid_value: ({ values }) => `must be one of ${values.join(', ')}`,
  too_small: ({ minimum, origin }) =>
    `must ${UNITS[origin]?.verb ?? 'be'} at least ${minimum}${UNITS[origin]?.noun ?? ''}`,
  too_big: ({ maximum, origin }) =>
    `must ${UNITS[origin]?.verb ?? 'be'} at most ${maximum}${UNITS[origin]?.noun ?? ''}`,
};
const UNITS: Readonly<Record<string, { verb: string; noun: string }>> = {
  string: { verb: 'have', noun: ' character(s)' },
  array: { verb: 'have', noun: ' member(s)' },
};

/**
 * A value of a schema.
 * @throws AppError `invalid_request` that names every wrong field and quotes no value
 */
export function checkShape<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value, { reportInput: false });
  if (result.success) return result.data;
  const sentences = result.error.issues.flatMap((issue) => toSentences(issue, value));
  const detail = sentences.slice(0, MAX_SENTENCES).join('; ').slice(0, MAX_DETAIL_LENGTH);
  throw new AppError('invalid_request', { values: { detail } });
}

function toSentences(issue: Issue, value: unknown): string[] {
  const field = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `"${[...issue.path.map(String), key].join('.')}" is not known here`);
  }
  const say = SENTENCES[issue.code] as ((issue: Issue) => string) | undefined;
  const sentence = isMissing(issue, value) ? 'is missing' : (say?.(issue) ?? issue.message);
  return [field === '' ? `the body ${sentence}` : `"${field}" ${sentence}`];
}

function isMissing({ path }: Issue, value: unknown): boolean {
  let inner = value;
  for (const part of path)
    inner = Object.hasOwn(Object(inner) as object, part) ? (inner as Record<PropertyKey, unknown>)[part] : undefined;
  return path.length > 0 && inner === undefined;
}
