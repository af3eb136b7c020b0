import { z } from 'zod';

import { DEFAULT_JWE_ALGORITHMS, JWE_ALGORITHMS, JWE_ENCRYPTIONS, JWS_ALGORITHM_NAMES } from '../jose/algorithms.ts';
import { MAX_AUDIENCE_LENGTH, MAX_CLOCK_TOLERANCE_SECONDS } from '../jose/limits.ts';
import { appKeyView, jwksUrl, publicKey, storedAppKey } from './keys/schemas.ts';

/** The `aud` values of the seeds; their documents use both. */
export const DEFAULT_AUDIENCES = ['https://idproxy.kore.com/authorize', 'https://idproxy.kore.ai/authorize'] as const;

const DAY_SECONDS = 86_400;
const MAX_NAME_LENGTH = 128;
/** The largest limit of exchanges that an app may be given, in a minute. */
export const MAX_EXCHANGES_PER_MINUTE = 10_000_000;

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

/** The algorithms that JWEs for an app may bear. */
export const jweSettings = z.strictObject({
  required: z.boolean().default(false).meta({ description: 'Whether assertions must be encrypted.' }),
  algs: z
    .array(z.enum(JWE_ALGORITHMS))
    .min(1)
    .default([...DEFAULT_JWE_ALGORITHMS])
    .meta({ description: 'RSA1_5 is for senders that know nothing better: it is taken only where it is named.' }),
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

/** What an app's bearers may look like. */
export const ACCESS_TOKEN_FORMATS = ['opaque', 'jwt'] as const;

/** Whose identity assertions an app takes. */
export const idJagSettings = z.strictObject({
  issuer: z
    .url()
    .max(MAX_AUDIENCE_LENGTH)
    .meta({ description: 'The `iss` of the identity provider, exactly.', example: 'https://acme.idp.example/' }),
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
  requireDpop: z.boolean().meta({
    description:
      'Whether its bearers must be bound to a key of the client (RFC 9449). Only `/oauth/token` does that, so the published ' +
      "clients' routes are refused.",
  }),
  accessTokenFormat: z.enum(ACCESS_TOKEN_FORMATS).meta({
    description:
      'What its bearers look like: opaque, or JWTs that the platform signs (RFC 9068), which others can verify with the JWKS.',
  }),
  idJag: idJagSettings.nullable().meta({
    description:
      'Whether identity assertions (ID-JAG) of an identity provider are accepted, which the registered key must verify. null: none. RS256 and RS512 only.',
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
  exchangesPerMinute: z.int().min(0).max(MAX_EXCHANGES_PER_MINUTE).meta({
    description: 'Exchanges of assertions that it really signed, in a minute; 0 for no limit of its own.',
  }),
};

/** What `POST /admin/apps` takes. */
export const appRequest = z
  .strictObject({
    name,
    algorithm,
    publicKey: publicKey.optional(),
    jwksUrl: jwksUrl.optional(),
    enforceJti: policy.enforceJti.default(false),
    jwe: policy.jwe.prefault({}),
    allowAnonymous: policy.allowAnonymous.default(false),
    autoRegister: policy.autoRegister.default(true),
    merge: policy.merge.prefault({}),
    requireSecureRtm: policy.requireSecureRtm.default(false),
    requireDpop: policy.requireDpop.default(false),
    accessTokenFormat: policy.accessTokenFormat.default('opaque'),
    idJag: policy.idJag.default(null),
    audiences: policy.audiences.default([...DEFAULT_AUDIENCES]),
    bots: policy.bots.default([]),
    enabled: policy.enabled.default(true),
    maxLifetimeSeconds: policy.maxLifetimeSeconds.default(DAY_SECONDS),
    bearerLifetimeSeconds: policy.bearerLifetimeSeconds.default(3_600),
    clockToleranceSeconds: policy.clockToleranceSeconds.default(15),
    reuseWindowSeconds: policy.reuseWindowSeconds.default(0),
    exchangesPerMinute: policy.exchangesPerMinute.default(0),
  })
  .meta({ id: 'AppRequest', description: 'A new SDK app.' });

/** What `PATCH /admin/apps/:clientId` takes: any of them but the algorithm. */
export const appPatch = z
  .strictObject({
    name,
    jwksUrl: jwksUrl.meta({ description: 'Takes the place of all its keys, at once. RS256 and RS512 only.' }),
    publicKey: publicKey.meta({ description: 'Takes the place of all its keys, at once. RS256 and RS512 only.' }),
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
  .meta({ id: 'PlatformJwk', description: 'The public key of the platform that JWEs are encrypted for (RFC 7517).' });

/** The public key of the platform that its own tokens are verified with. */
export const platformSigningJwk = platformJwk.extend({ use: z.literal('sig'), alg: z.literal('RS256') }).meta({
  id: 'PlatformSigningJwk',
  description: 'A public key that tokens of the platform are verified with (RFC 7517).',
});

/** An app as the API shows it. */
export const appView = z
  .strictObject({
    clientId: z.string().meta({ example: 'cs-4ac1a8a2-5f09-4a6b-9d3f-0d7b4c2f1e55' }),
    name,
    algorithm,
    publicKey: z.string().optional().meta({ description: 'Of its newest key, where that has one: PEM.' }),
    keys: z.array(appKeyView).meta({ description: 'Its keys, the newest last.' }),
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

/** An app as it is stored: times in seconds since the epoch, secrets sealed. */
export const storedApp = appView.omit({ clientId: true, publicKey: true, createdAt: true, updatedAt: true }).extend({
  createdAt: z.number(),
  updatedAt: z.number(),
  keys: z.array(storedAppKey).min(1),
  // Apps that were registered before there were these.
  merge: mergeSettings.prefault({}),
  requireSecureRtm: z.boolean().default(false),
  exchangesPerMinute: policy.exchangesPerMinute.default(0),
  requireDpop: z.boolean().default(false),
  accessTokenFormat: z.enum(ACCESS_TOKEN_FORMATS).default('opaque'),
  idJag: idJagSettings.nullable().default(null),
});

/** A registered app: the stored form and its client id. */
export type App = z.output<typeof storedApp> & { readonly clientId: string };
