import { z } from 'zod';

import { platformJwk, platformSigningJwk } from '../apps/schemas.ts';
import { userContext } from './user-context.ts';

export const assertion = z
  .string()
  .min(1, 'must not be empty')
  .meta({ description: 'The JWS, or the nested JWE.', example: 'eyJhbGciOiJIUzI1NiIs…' });

const numericDate = z.number().meta({ description: 'Seconds since the epoch.' });

const botInfo = z
  .looseObject({
    chatBot: z.string().optional().meta({ description: "The bot's name." }),
    taskBotId: z.string().optional().meta({ description: "The bot's id.", example: 'st-1' }),
    customData: z.record(z.string(), z.unknown()).optional().meta({
      description: 'Data for the bot, unsigned; at most 4 096 bytes as JSON.',
    }),
  })
  .meta({ description: 'The bot the client wants. Further members are ignored.' });

export const identityToMergeToken = z.string().optional().meta({
  description:
    'The bearer of the identity that `identityToMerge` names, for apps that ask for it (`merge.requireProof`).',
});

export const authorizeRequest = z
  .looseObject({ assertion, identity_to_merge_token: identityToMergeToken })
  .meta({ id: 'AuthorizeRequest' });

export const authorizeResponse = z
  .strictObject({
    access_token: z.string().meta({
      description: 'The bearer: opaque, 256 random bits; or a JWT (RFC 9068), for apps with `accessTokenFormat: jwt`.',
    }),
    token_type: z.literal('Bearer'),
    expires_in: z.int().meta({ description: 'Its life from now, in seconds.' }),
    issued_at: numericDate,
  })
  .meta({ id: 'AuthorizeResponse' });

export const jwtGrantRequest = z
  .looseObject({ assertion, botInfo: botInfo.optional(), identity_to_merge_token: identityToMergeToken })
  .meta({ id: 'JwtGrantRequest' });

const userInfo = z.strictObject({
  userId: z.string().meta({
    description: 'Always the same for one app and subject.',
    example: 'u-0b63a6f0-3d3c-8f0e-9d51-7f6d2a9e4c11',
  }),
  accountId: z.string(),
  orgId: z.string(),
  identity: z.string().meta({ description: '`<clientId>/<sub>`' }),
  enrollType: z.literal('free'),
  managedBy: z.string(),
  fName: z.string(),
  lName: z.string(),
});

export const jwtGrantResponse = z
  .strictObject({
    authorization: z.strictObject({
      accessToken: z.string(),
      token_type: z.literal('bearer').meta({ description: 'Lower case: some clients build their header from it.' }),
      issuedDate: z.iso.datetime(),
      expiresDate: z.iso.datetime(),
    }),
    userInfo,
  })
  .meta({ id: 'JwtGrantResponse' });

export const userInfoResponse = userInfo
  .extend({ sub: z.string(), clientId: z.string(), isAnonymous: z.boolean() })
  .meta({ id: 'UserInfo' });

/** What tokens are called (RFC 8693 §3). */
export const TOKEN_TYPES = {
  accessToken: 'urn:ietf:params:oauth:token-type:access_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
} as const;

const tokenType = z.enum(['Bearer', 'DPoP']).meta({
  description: '`DPoP` where it is bound to the key of a proof: the scheme under which it is sent.',
});

export const tokenResponse = authorizeResponse
  .omit({ issued_at: true })
  .extend({
    token_type: tokenType,
    issued_token_type: z
      .enum(Object.values(TOKEN_TYPES))
      .optional()
      .meta({ description: 'Of a token exchange: what was asked for, or an access token.' }),
  })
  .meta({ id: 'TokenResponse' });

export const tokenQuery = z
  .looseObject({
    token: z.string().min(1, 'must not be empty').meta({ description: 'A bearer.' }),
    token_type_hint: z.string().optional().meta({ description: 'Not needed; `access_token` is the only type.' }),
  })
  .meta({ id: 'TokenQuery' });

export const introspectionResponse = z
  .union([
    z.strictObject({ active: z.literal(false) }),
    z.strictObject({
      active: z.literal(true),
      client_id: z.string(),
      sub: z.string(),
      user_id: z.string(),
      is_anonymous: z.boolean(),
      session_id: z.string().meta({ description: "The session's public name. It opens nothing." }),
      token_type: tokenType,
      cnf: z
        .strictObject({ jkt: z.string() })
        .optional()
        .meta({ description: 'The thumbprint of the key that the bearer is bound to (RFC 9449 §6.2).' }),
      iss: z.string(),
      iat: numericDate,
      exp: numericDate,
      user_context: userContext.optional().meta({
        description: 'For the admin token and the keys of `COUNTERSIGN_CONTEXT_KEYS_FILE`.',
      }),
    }),
  ])
  .meta({ id: 'Introspection', description: 'RFC 7662 §2.2. Whatever is not active has no further member.' });

export const sessionQuery = z.object({
  sessionId: z.string().meta({ description: '`session_id` of introspection.', example: '0a1b.…' }),
});

export const contextResponse = z
  .strictObject({ context: z.strictObject({ session: z.strictObject({ UserContext: userContext }) }) })
  .meta({ id: 'SessionContext' });

export const jwksResponse = z
  .strictObject({ keys: z.array(z.union([platformJwk, platformSigningJwk])) })
  .meta({ id: 'Jwks', description: 'Those for encryption, the one to use first; then those of signatures.' });

export const metadataResponse = z
  .strictObject({
    issuer: z.url(),
    token_endpoint: z.url(),
    introspection_endpoint: z.url(),
    revocation_endpoint: z.url(),
    jwks_uri: z.url(),
    userinfo_endpoint: z.url(),
    response_types_supported: z.array(z.string()),
    grant_types_supported: z.array(z.string()),
    authorization_grant_profiles_supported: z.array(z.string()),
    token_endpoint_auth_methods_supported: z.array(z.string()),
    introspection_endpoint_auth_methods_supported: z.array(z.string()),
    revocation_endpoint_auth_methods_supported: z.array(z.string()),
    dpop_signing_alg_values_supported: z.array(z.string()),
  })
  .meta({ id: 'AuthorizationServerMetadata', description: 'RFC 8414 §2.' });

export type UserInfo = z.output<typeof userInfo>;
export type JwtGrantResponse = z.output<typeof jwtGrantResponse>;
export type AuthorizeResponse = z.output<typeof authorizeResponse>;
export type TokenResponse = z.output<typeof tokenResponse>;
export type IntrospectionResponse = z.output<typeof introspectionResponse>;
export type Metadata = z.output<typeof metadataResponse>;
