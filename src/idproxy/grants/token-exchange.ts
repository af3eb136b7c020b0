import { z } from 'zod';

import { AppError } from '../../core/errors.ts';
import { assertion, identityToMergeToken, TOKEN_TYPES } from '../schemas.ts';
import type { GrantType } from './grant-type.ts';
import { scope } from './jwt-bearer.ts';

/** The grant type of RFC 8693 §2.1. */
export const TOKEN_EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';

const target = (description: string) =>
  z
    .union([z.string(), z.array(z.string())])
    .optional()
    .meta({ description });

export const tokenExchangeRequest = z
  .looseObject({
    grant_type: z.literal(TOKEN_EXCHANGE_GRANT),
    subject_token: assertion,
    subject_token_type: z.string().meta({ description: 'A JWT.', example: TOKEN_TYPES.jwt }),
    requested_token_type: z.string().optional().meta({
      description: 'An access token; or a JWT, for apps with `accessTokenFormat: jwt`.',
      example: TOKEN_TYPES.accessToken,
    }),
    resource: target('Where the token is for: the public URL of this platform alone.'),
    audience: target('The same, by name.'),
    scope,
    actor_token: z.string().optional().meta({ description: 'Nobody acts for somebody else here: absent or empty.' }),
    actor_token_type: z.string().optional(),
    identity_to_merge_token: identityToMergeToken,
  })
  .meta({ id: 'TokenExchangeRequest', description: 'RFC 8693 §2.1. The assertion is the subject token.' });

/** The types of tokens that may be asked for, and the format that each needs. */
const REQUESTED: ReadonlyMap<
  string,
  { readonly type: (typeof TOKEN_TYPES)['accessToken' | 'jwt']; readonly format?: 'jwt' }
> = new Map([
  ['', { type: TOKEN_TYPES.accessToken }],
  [TOKEN_TYPES.accessToken, { type: TOKEN_TYPES.accessToken }],
  [TOKEN_TYPES.jwt, { type: TOKEN_TYPES.jwt, format: 'jwt' }],
]);

const invalid = (detail: string): AppError => new AppError('invalid_request', { values: { detail } });

/** An assertion as the subject token. */
export const tokenExchange: GrantType<z.output<typeof tokenExchangeRequest>> = {
  parameters: tokenExchangeRequest,
  refusal: 'invalid_request',
  toRequest: (parameters, issuer) => {
    if (parameters.subject_token_type !== TOKEN_TYPES.jwt)
      throw invalid(`'subject_token_type' must be ${TOKEN_TYPES.jwt}`);
    // SECURITY: to overlook an actor would grant the subject's rights to whoever it is.
    if ((parameters.actor_token ?? '') !== '' || (parameters.actor_token_type ?? '') !== '')
      throw invalid("'actor_token': nobody can act for somebody else here");
    const requested = REQUESTED.get(parameters.requested_token_type ?? '');
    if (requested === undefined)
      throw invalid(`'requested_token_type' must be ${TOKEN_TYPES.accessToken} or ${TOKEN_TYPES.jwt}`);
    if ((parameters.scope ?? '') !== '') throw new AppError('invalid_scope');
    for (const value of [parameters.resource, parameters.audience].flat())
      if ((value ?? '') !== '' && value !== issuer) throw new AppError('invalid_target');
    return {
      assertion: parameters.subject_token,
      options: { mergeBearer: parameters.identity_to_merge_token, format: requested.format },
      issuedTokenType: requested.type,
    };
  },
};
