import { z } from 'zod';

import { JWE_ALGORITHMS, JWE_ENCRYPTIONS, JWS_ALGORITHM_NAMES } from '../jose/algorithms.ts';
import { MAX_AUDIENCE_LENGTH, MAX_CLOCK_TOLERANCE_SECONDS } from '../jose/limits.ts';

/** The `aud` values of the seeds; their documents use both. */
export const DEFAULT_AUDIENCES = ['https://idproxy.kore.com/authorize', 'https://idproxy.kore.ai/authorize'] as const;

const DAY_SECONDS = 86_400;
const MAX_NAME_LENGTH = 128;
const MAX_PEM_LENGTH = 8_192;

const seconds = (min: number, max: number) => z.int().min(min).max(max);

const name = z
  .string()
  .trim()
  .min(1)
  .max(MAX_NAME_LENGTH)
  .meta({ description: 'What people call the app.', example: 'Web chat' });

const algorithm = z.enum(JWS_ALGORITHM_NAMES).meta({
  description: 'How its assertions are signed. Pinned: a token that names another one is refused. Never changes.',
  example: 'HS256',
});

const publicKey = z
  .union([z.string().max(MAX_PEM_LENGTH), z.record(z.string(), z.unknown())])
  .meta({ description: 'The public key, PEM text or a JWK object; RSA, at least 2048 bits. RS256 and RS512 only.' });

/** The algorithms that JWEs for an app may bear. */
export const jweSettings = z.strictObject({
  required: z.boolean().default(false).meta({ description: 'Whether assertions must be encrypted.' }),
  algs: z
    .array(z.enum(JWE_ALGORITHMS))
    .min(1)
    .default([...JWE_ALGORITHMS]),
  encs: z
    .array(z.enum(JWE_ENCRYPTIONS))
    .min(1)
    .default([...JWE_ENCRYPTIONS]),
});

/** What `identityToMerge` may do. */
export const mergeSettings = z.strictObject({
  allowKnown: z
    .boolean()
    .default(false)
    .meta({
      description:
        'Whether it may name a known user where no anonymous one has that name: that user is then gone. Whoever signs the ' +
        'assertions can so take over any account of the app.',
    }),
  requireProof: z.boolean().default(false).meta({
    description:
      'Whether the client must show the bearer of the identity that is merged, as `identity_to_merge_token`.',
  }),
});

const policy = {
  enforceJti: z.boolean().meta({ description: 'Whether assertions must have a `jti`, so that each is accepted once.' }),
  jwe: jweSettings.meta({ description: 'Encrypted assertions.' }),
  allowAnonymous: z.boolean().meta({ description: 'Whether assertions may be for anonymous users.' }),
  autoRegister: z.boolean().meta({
    description:
      'Whether a known user is registered by the first exchange. Where false, `POST /admin/identities` does it.',
  }),
  merge: mergeSettings.meta({ description: 'What the claim `identityToMerge` may do.' }),
  requireSecureRtm: z.boolean().meta({
    description:
      'Whether a web socket must show the nonce of its start and a token of its user ("secure RTM"), also where the client ' +
      'did not send `x-rtm-v`.',
  }),
  audiences: z
    .array(z.string().min(1).max(MAX_AUDIENCE_LENGTH))
    .min(1)
    .max(16)
    .meta({ description: 'The `aud` values that are accepted.' }),
  bots: z
    .array(z.string().min(1).max(MAX_NAME_LENGTH))
    .max(100)
    .meta({ description: 'The bots (`botInfo.taskBotId`) it may be used with; empty for any.', example: [] }),
  enabled: z.boolean().meta({ description: 'A disabled app is refused: 401 at the exchange, 403 with a bearer.' }),
  maxLifetimeSeconds: seconds(60, 30 * DAY_SECONDS).meta({
    description: 'The longest life of an assertion, from now; one hour where it has a `jti`.',
  }),
  bearerLifetimeSeconds: seconds(60, 30 * DAY_SECONDS).meta({ description: 'The life of a bearer.' }),
  clockToleranceSeconds: seconds(0, MAX_CLOCK_TOLERANCE_SECONDS).meta({
    description: "How far the issuer's clock may be off.",
  }),
  reuseWindowSeconds: seconds(0, 3_600).meta({
    description: 'How long the same assertion gets the same session again; 0 for never.',
  }),
};

/** What `POST /admin/apps` takes. */
export const appRequest = z
  .strictObject({
    name,
    algorithm,
    publicKey: publicKey.optional(),
    enforceJti: policy.enforceJti.default(false),
    jwe: policy.jwe.prefault({}),
    allowAnonymous: policy.allowAnonymous.default(false),
    autoRegister: policy.autoRegister.default(true),
    merge: policy.merge.prefault({}),
    requireSecureRtm: policy.requireSecureRtm.default(false),
    audiences: policy.audiences.default([...DEFAULT_AUDIENCES]),
    bots: policy.bots.default([]),
    enabled: policy.enabled.default(true),
    maxLifetimeSeconds: policy.maxLifetimeSeconds.default(DAY_SECONDS),
    bearerLifetimeSeconds: policy.bearerLifetimeSeconds.default(3_600),
    clockToleranceSeconds: policy.clockToleranceSeconds.default(15),
    reuseWindowSeconds: policy.reuseWindowSeconds.default(0),
  })
  .meta({ id: 'AppRequest', description: 'A new SDK app.' });

/** What `PATCH /admin/apps/:clientId` takes: any of them but the algorithm. */
export const appPatch = z
  .strictObject({
    name,
    publicKey,
    ...policy,
    jwe: z
      .strictObject({
        required: z.boolean(),
        algs: jweSettings.shape.algs.unwrap(),
        encs: jweSettings.shape.encs.unwrap(),
      })
      .partial(),
    merge: z.strictObject({ allowKnown: z.boolean(), requireProof: z.boolean() }).partial(),
  })
  .partial()
  .meta({ id: 'AppPatch', description: 'Changes to an SDK app.' });

/** The public key of the platform that JWEs are encrypted for. */
export const platformJwk = z
  .strictObject({ kty: z.literal('RSA'), e: z.string(), n: z.string(), kid: z.string(), use: z.literal('enc') })
  .meta({ id: 'PlatformJwk', description: 'A public key of the platform (RFC 7517).' });

/** An app as the API shows it. */
export const appView = z
  .strictObject({
    clientId: z.string().meta({ example: 'cs-4ac1a8a2-5f09-4a6b-9d3f-0d7b4c2f1e55' }),
    name,
    algorithm,
    publicKey: z.string().optional().meta({ description: 'PEM; RS256 and RS512 only.' }),
    ...policy,
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'App', description: 'A registered SDK app. No secret is ever in it.' });

/** The answer to a registration: the only time that the secret is shown. */
export const appCreated = appView
  .extend({
    clientSecret: z.string().optional().meta({ description: 'Shown once; used as text. HS256 and HS512 only.' }),
    jwk: platformJwk,
  })
  .meta({ id: 'AppCreated', description: 'A newly registered SDK app.' });

export const appList = z.strictObject({ apps: z.array(appView) }).meta({ id: 'AppList' });

export type AppRequest = z.output<typeof appRequest>;
export type AppPatch = z.output<typeof appPatch>;
export type AppView = z.output<typeof appView>;

/** An app as it is stored: times in seconds since the epoch, the secret sealed. */
export const storedApp = appView.omit({ clientId: true, createdAt: true, updatedAt: true }).extend({
  createdAt: z.number(),
  updatedAt: z.number(),
  sealedSecret: z.string().optional(),
  // Apps that were registered before there were these.
  merge: mergeSettings.prefault({}),
  requireSecureRtm: z.boolean().default(false),
});

/** A registered app: the stored form and its client id. */
export type App = z.output<typeof storedApp> & { readonly clientId: string };
