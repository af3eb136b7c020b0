import { z } from 'zod';

import { isJsonObject } from '../core/json.ts';
import { AUDIT_OUTCOMES } from './audit-entry.ts';

/** Entries that one answer has, at most. */
export const MAX_AUDIT_PAGE = 1_000;
const DEFAULT_AUDIT_PAGE = 100;
const MAX_ID_LENGTH = 64;

/** What `GET /admin/audit` takes. */
export const auditQuery = z.strictObject({
  after: z
    .string()
    .max(MAX_ID_LENGTH)
    .default('')
    .meta({ description: 'The `id` behind which to go on: `next` of the answer before.', example: '000000000000042' }),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(1).max(MAX_AUDIT_PAGE))
    .default(DEFAULT_AUDIT_PAGE)
    .meta({
      description: 'How many at most.',
      override: { type: 'integer', minimum: 1, maximum: MAX_AUDIT_PAGE, default: DEFAULT_AUDIT_PAGE },
    }),
  newestFirst: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .default(false)
    .meta({
      description: 'Whether the last entries are had, the last one first.',
      override: { type: 'string', enum: ['true', 'false'], default: 'false' },
    }),
});

/** An entry as the API shows it. */
export const auditView = z
  .object({
    id: z.string().meta({ description: 'Ascends with time.', example: '000000000000042' }),
    at: z.iso.datetime().optional(),
    who: z.string().optional().meta({
      description: 'The credential: `admin`, `user <name>` at the command line, `countersign` itself, `nobody`.',
    }),
    from: z.string().optional().meta({ description: 'An address, or `command line`.', example: '192.0.2.7' }),
    act: z.string().optional().meta({
      description: 'A method and a route, or the words of a command.',
      example: 'PATCH /admin/apps/:clientId',
    }),
    target: z.record(z.string(), z.string()).optional().meta({ description: 'What it was done to.' }),
    requestId: z.string().optional().meta({ description: '`x-request-id` of the answer and of its line in the log.' }),
    outcome: z
      .enum(AUDIT_OUTCOMES)
      .optional()
      .meta({
        description:
          '`begun` stands before the act. `done` and `failed` tell how it ended; `abandoned`: nobody waited for the answer. ' +
          '`refused`: a credential was not taken, and nothing was done.',
      }),
    status: z.int().optional().meta({ description: 'The HTTP status.' }),
    begun: z.string().optional().meta({ description: 'The `id` of the entry with which it began.' }),
    count: z.int().optional().meta({ description: 'How many things of its kind the entry stands for.' }),
  })
  .meta({ id: 'AuditEntry', description: 'Who did what from where. No body and no secret is in it.' });

export const auditPage = z
  .strictObject({
    entries: z.array(auditView),
    next: z.string().optional().meta({ description: 'There may be more: ask with `after=` this.' }),
  })
  .meta({ id: 'AuditPage' });

/** A line of the trail as it is shown. */
export function toAuditView({ id, body }: { readonly id: string; readonly body: string }): object {
  return { id, ...parseBody(body) };
}

function parseBody(body: string): object {
  try {
    const entry: unknown = JSON.parse(body);
    return isJsonObject(entry) ? entry : {};
  } catch {
    // A line that something else wrote is still a line.
    return {};
  }
}
