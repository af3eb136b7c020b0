import { z } from 'zod';

const DAY_SECONDS = 86_400;

/**
 * How long a new key is published before it is used, in seconds, unless something else is asked for: caches of the JWKS and
 * verifiers that look once a day have it by then.
 */
export const PUBLISH_LEAD_SECONDS = DAY_SECONDS;

/** The longest time that may be asked for until a key begins or ends, in seconds. */
export const MAX_KEY_DELAY_SECONDS = 366 * DAY_SECONDS;

const use = z.enum(['enc', 'sig']).meta({
  description: '`enc`: JWEs are encrypted for it. `sig`: tokens of the platform are signed with it.',
});
const delay = z.int().min(0).max(MAX_KEY_DELAY_SECONDS);

/** What `POST /admin/keys` takes. */
export const platformKeyRequest = z
  .strictObject({
    use,
    activatesInSeconds: delay.default(PUBLISH_LEAD_SECONDS).meta({
      description: 'From when it is used. Until then it is published only, so that everybody has it in time.',
    }),
  })
  .meta({ id: 'PlatformKeyRequest', description: 'A new key of the platform.' });

/** What `PATCH /admin/keys/:kid` takes. */
export const platformKeyPatch = z
  .strictObject({
    retiresInSeconds: delay.meta({ description: 'From when it is unknown: sooner or later than it was.' }),
  })
  .meta({ id: 'PlatformKeyPatch', description: 'When a key of the platform ends.' });

/** A key as the API shows it. */
export const platformKeyView = z
  .strictObject({
    kid: z.string(),
    use,
    state: z.enum(['next', 'current', 'former', 'retired']).meta({
      description:
        '`next`: published, not used yet. `current`: used. `former`: not used any more, what was made for it or with it is ' +
        'still taken. `retired`: unknown.',
    }),
    createdAt: z.iso.datetime().optional().meta({ description: 'Absent in a key of an earlier version.' }),
    activatesAt: z.iso.datetime().optional().meta({ description: 'Absent in the first key.' }),
    retiresAt: z.iso.datetime().optional().meta({ description: 'Absent where no end is set.' }),
  })
  .meta({ id: 'PlatformKey', description: 'A key of the platform, without the key itself.' });

export const platformKeyList = z
  .strictObject({ keys: z.array(platformKeyView) })
  .meta({ id: 'PlatformKeyList', description: 'The keys of the platform, by use, newest first.' });

export type PlatformKeyView = z.output<typeof platformKeyView>;
