import { z } from 'zod';

import { isUnfitForName } from '../core/name.ts';
import { MAX_AUDIENCE_LENGTH, MAX_NAME_LENGTH } from '../jose/limits.ts';

/** Users in one answer of a listing. */
export const MAX_LISTED_IDENTITIES = 200;
const DEFAULT_LISTED_IDENTITIES = 50;

const USER_ID = /^u-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

const clientId = z
  .string()
  .min(1)
  .max(MAX_AUDIENCE_LENGTH)
  .meta({ description: 'The client id of an app.', example: 'cs-4ac1a8a2-5f09-4a6b-9d3f-0d7b4c2f1e55' });

const userId = z.string().meta({
  description: 'Always the same for one app and subject.',
  example: 'u-0b63a6f0-3d3c-8f0e-9d51-7f6d2a9e4c11',
});

const subject = z.string().meta({ description: 'The claim `sub`.', example: 'alice@example.com' });

/** A subject that an assertion could have: one that it could not have would never sign in. */
const namedSubject = subject
  .min(1)
  .max(MAX_NAME_LENGTH)
  .refine((text) => !isUnfitForName(text), 'has characters that no name may have');

const isAnonymous = z.boolean().meta({
  description: 'Anonymous and known users are two name spaces: the same subject may be in both, as two users.',
});

/** What `GET /admin/identities` takes. */
export const identityQuery = z.strictObject({
  clientId,
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(1).max(MAX_LISTED_IDENTITIES))
    .default(DEFAULT_LISTED_IDENTITIES)
    .meta({
      description: 'How many at most.',
      override: { type: 'integer', minimum: 1, maximum: MAX_LISTED_IDENTITIES, default: DEFAULT_LISTED_IDENTITIES },
    }),
  cursor: z
    .string()
    .regex(USER_ID, 'must be the "next" of an earlier answer')
    .optional()
    .meta({ description: 'The `next` of the answer before this one.' }),
});

/** What `POST /admin/identities` takes. */
export const identityRequest = z
  .strictObject({ clientId, subject: namedSubject })
  .meta({ id: 'IdentityRequest', description: 'A known user who is to be registered.' });

/** What `POST /admin/identities/look-up` takes. */
export const identityLookUp = z
  .strictObject({ clientId, subject: namedSubject, isAnonymous: isAnonymous.default(false) })
  .meta({ id: 'IdentityLookUp', description: 'A user by name.' });

/** A user as the API shows them. */
export const identityView = z
  .strictObject({
    userId,
    clientId,
    subject,
    isAnonymous,
    createdAt: z.iso.datetime(),
    conversation: z
      .strictObject({
        id: z.string(),
        activeUntil: z.iso.datetime().meta({
          description:
            'Prolonged by every exchange. A conversation whose time is over goes on no more, and has no messages.',
        }),
      })
      .optional()
      .meta({ description: 'The latest one. Absent where there was none yet.' }),
  })
  .meta({ id: 'Identity', description: 'A user of an app.' });

export const identityList = z
  .strictObject({
    identities: z.array(identityView),
    next: z.string().optional().meta({ description: 'The `cursor` of what follows. Absent where nothing does.' }),
  })
  .meta({ id: 'IdentityList', description: 'Known users, by their user ids.' });

/** All that is kept of a user. */
export const identityExport = z
  .strictObject({
    identity: identityView,
    messages: z.array(z.record(z.string(), z.unknown())).meta({
      description: 'What was said in the conversation, oldest first, as far as it is still kept.',
    }),
    notIncluded: z.array(z.string()).meta({ description: 'What is kept elsewhere, and why it is not here.' }),
  })
  .meta({ id: 'IdentityExport', description: 'All that is kept of a user.' });

export type IdentityView = z.output<typeof identityView>;
export type IdentityList = z.output<typeof identityList>;
export type IdentityExport = z.output<typeof identityExport>;

/** The stored id behind a user id. @returns undefined where the text cannot be one */
export function parseUserId(text: string): string | undefined {
  return USER_ID.exec(text)?.[1];
}
