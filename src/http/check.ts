import type { z } from 'zod';

import { AppError } from '../core/errors.ts';

/**
 * A value of a schema.
 * @throws AppError `invalid_request` that names every wrong field and quotes no value
 */
export function checkShape<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value, { reportInput: false });
  if (result.success) return result.data;
  const detail = result.error.issues
    .map(({ path, message }) => (path.length > 0 ? `"${path.join('.')}": ${message}` : message))
    .join('; ');
  throw new AppError('invalid_request', { values: { detail } });
}
