import { z } from 'zod';

import { AppError } from '../../core/errors.ts';
import { assertion, identityToMergeToken } from '../schemas.ts';
import type { GrantType } from './grant-type.ts';

/** The grant type of RFC 7523 §2.1. */
export const JWT_BEARER_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

export const scope = z.string().optional().meta({ description: 'There are no scopes here: absent or empty.' });

export const jwtBearerRequest = z
  .looseObject({
    grant_type: z.literal(JWT_BEARER_GRANT),
    assertion: assertion.meta({
      description: 'The JWS, or the nested JWE; or an identity assertion (ID-JAG), for apps that take them.',
    }),
    scope,
    identity_to_merge_token: identityToMergeToken,
  })
  .meta({ id: 'JwtBearerRequest', description: 'RFC 7523 §2.1.' });

/** An assertion as it is, of every kind. */
export const jwtBearer: GrantType<z.output<typeof jwtBearerRequest>> = {
  parameters: jwtBearerRequest,
  refusal: 'invalid_grant',
  toRequest: (parameters) => {
    if ((parameters.scope ?? '') !== '') throw new AppError('invalid_scope');
    return {
      assertion: parameters.assertion,
      options: { mergeBearer: parameters.identity_to_merge_token, kinds: ['jwt', 'id-jag'] },
    };
  },
};
