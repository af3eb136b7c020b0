import { z } from 'zod';

import { MAX_URL_LENGTH } from '../../http/outbound/url.ts';

/** The keys of one app that are not retired yet, those that are not active yet included. */
export const MAX_APP_KEYS = 2;
/** How far ahead the beginning or the end of a key may be set, in seconds. */
export const MAX_KEY_NOTICE_SECONDS = 31_536_000;

const MAX_PEM_LENGTH = 8_192;

const notice = z.int().min(0).max(MAX_KEY_NOTICE_SECONDS);

export const publicKey = z
  .union([z.string().max(MAX_PEM_LENGTH), z.record(z.string(), z.unknown())])
  .meta({ description: 'The public key, PEM text or a JWK object; RSA, at least 2048 bits. RS256 and RS512 only.' });

export const jwksUrl = z
  .string()
  .min(1)
  .max(MAX_URL_LENGTH)
  .meta({
    description:
      'Where the public keys are read from (JWKS, RFC 7517) in place of `publicKey`: https, on the public internet unless ' +
      '`COUNTERSIGN_JWKS_HOSTS` names the host.',
    example: 'https://keys.example.com/jwks.json',
  });

/** What `POST /admin/apps/:clientId/keys` takes. */
export const appKeyRequest = z
  .strictObject({
    publicKey: publicKey.optional(),
    jwksUrl: jwksUrl.optional(),
    activatesInSeconds: notice.default(0).meta({ description: 'When it begins to be accepted, from now.' }),
    retireOthersInSeconds: notice.optional().meta({
      description:
        "When the app's other keys end, from now; one that ends sooner does so. Left out: they stay as they are.",
      example: 86_400,
    }),
  })
  .meta({ id: 'AppKeyRequest', description: 'A further key of an SDK app.' });

/** What `PATCH /admin/apps/:clientId/keys/:kid` takes. */
export const appKeyPatch = z
  .strictObject({
    retiresAt: z.iso.datetime().nullable().meta({ description: 'When it ends; null for not at all.' }),
    retiresInSeconds: notice.meta({ description: 'The same, from now.' }),
  })
  .partial()
  .refine(({ retiresAt, retiresInSeconds }) => (retiresAt === undefined) !== (retiresInSeconds === undefined), {
    error: 'send retiresAt or retiresInSeconds',
  })
  .meta({ id: 'AppKeyPatch', description: 'The end of a key of an SDK app.' });

/** A key of an app as the API shows it. */
export const appKeyView = z
  .strictObject({
    kid: z.string().meta({ description: 'Its id, which a token may name as `kid`.', example: 'k-Zt3v0uH1m9Qd4rSx' }),
    kind: z.enum(['secret', 'publicKey', 'jwks']),
    publicKey: z.string().optional().meta({ description: 'PEM.' }),
    jwksUrl: z.string().optional().meta({ description: 'Where the public keys are read from.' }),
    createdAt: z.iso.datetime(),
    activatesAt: z.iso.datetime().meta({ description: 'From when on it is accepted.' }),
    retiresAt: z.iso.datetime().optional().meta({ description: 'Until when it is accepted; without it, without end.' }),
  })
  .meta({ id: 'AppKey', description: 'A key of an SDK app. No secret is ever in it.' });

/** The answer to a new key: the only time that a secret is shown. */
export const appKeyCreated = appKeyView
  .extend({
    clientSecret: z.string().optional().meta({ description: 'Shown once; used as text. HS256 and HS512 only.' }),
  })
  .meta({ id: 'AppKeyCreated', description: 'A new key of an SDK app.' });

export const appKeyList = z.strictObject({ keys: z.array(appKeyView) }).meta({ id: 'AppKeyList' });

/** A key as it is stored: times in seconds since the epoch, a secret sealed. */
export const storedAppKey = z
  .strictObject({
    kid: z.string(),
    createdAt: z.number(),
    activatesAt: z.number(),
    retiresAt: z.number().optional(),
    sealedSecret: z.string().optional(),
    publicKey: z.string().optional(),
    jwksUrl: z.string().optional(),
  })
  .refine(({ sealedSecret, publicKey: pem, jwksUrl: url }) => [sealedSecret, pem, url].filter(Boolean).length === 1);

export type AppKeyRequest = z.output<typeof appKeyRequest>;
export type AppKeyPatch = z.output<typeof appKeyPatch>;
export type AppKeyView = z.output<typeof appKeyView>;

/** A key of an app: a sealed secret, a public key or the URL of some. */
export type AppKey = z.output<typeof storedAppKey>;
