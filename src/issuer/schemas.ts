import { z } from 'zod';

import { isUnfitForName } from '../core/name.ts';
import { MAX_AUDIENCE_LENGTH, MAX_NAME_LENGTH } from '../jose/limits.ts';

/** Whether a text can be the name of a user: 1 to {@link MAX_NAME_LENGTH} characters, no control character. */
export function isIdentity(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH && !isUnfitForName(value);
}

/** A text that may be left out; null and the empty string of a form count as left out. */
const optionalText = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((text) => !isUnfitForName(text), 'has characters that no name may have')
    .nullish()
    .transform((text) => (text === '' || text === null ? undefined : text));

/** `true`, `1` and their texts, or `false`, `0` and theirs: forms and the iOS client send texts. */
const looseFlag = () =>
  z
    .union([z.boolean(), z.literal([0, 1]), z.enum(['true', 'false', '1', '0'])], 'must be true or false')
    .default(false)
    .transform((value) => value === true || value === 1 || value === 'true' || value === '1');

/** What a client sends to have a token signed. Members that are not here are ignored, `clientId` and `clientSecret` too. */
export const mintRequestSchema = z
  .object({
    identity: optionalText(MAX_NAME_LENGTH).meta({
      description:
        'Who the user is: `sub` of the token. Needed, except for anonymous users and where the login names the user.',
      example: 'alice@example.com',
    }),
    isAnonymous: looseFlag().meta({
      description: 'Whether the user is not known. Without `identity` an anonymous user gets a random one of 128 bits.',
      example: false,
    }),
    identityToMerge: optionalText(MAX_NAME_LENGTH).meta({
      description:
        'The anonymous identity that a known user had before signing in, whose conversation goes on under `identity`.',
      example: 'dCHo1cSVGn_BBSxUJvyPlg',
    }),
    aud: optionalText(MAX_AUDIENCE_LENGTH).meta({
      description: 'One of the configured audiences. Empty: the default one.',
      example: 'https://idproxy.kore.com/authorize',
    }),
  })
  .meta({ id: 'MintRequest', description: 'Who a token is asked for.' });

/** A request after parsing. */
export type MintRequest = z.output<typeof mintRequestSchema>;

export const mintResponseSchema = z
  .object({
    jwt: z.string().meta({
      description: 'The assertion: a signed JWT, or a JWE around one.',
      example: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZUBleGFtcGxlLmNvbSJ9.c2lnbmF0dXJl',
    }),
  })
  .meta({ id: 'MintResponse', description: 'The token.' });

export type MintResponse = z.output<typeof mintResponseSchema>;
