import { z } from 'zod';

import { AppError, ERRORS } from '../../core/errors.ts';
import { checkShape } from '../../http/check.ts';
import type { GrantRequest, GrantType } from './grant-type.ts';
import { JWT_BEARER_GRANT, jwtBearer } from './jwt-bearer.ts';
import { TOKEN_EXCHANGE_GRANT, tokenExchange } from './token-exchange.ts';

/** A request that was read, and how the refusal of its assertion is said. */
export interface ReadGrant extends GrantRequest {
  /** The failure of an exchange as this grant says it. */
  toRefusal(error: unknown): unknown;
}

type ReadBody = (body: unknown, issuer: string) => ReadGrant;

/** The grants of the token endpoint. */
const GRANTS: Readonly<Record<string, ReadBody>> = {
  [JWT_BEARER_GRANT]: toReader(jwtBearer),
  [TOKEN_EXCHANGE_GRANT]: toReader(tokenExchange),
};

export const GRANT_TYPES: readonly string[] = Object.keys(GRANTS);

const anyGrant = z.looseObject({ grant_type: z.string() });

/**
 * @param issuer - our own issuer identifier
 * @throws AppError `unsupported_grant_type`, `invalid_request`, `invalid_scope`, `invalid_target`
 */
export function readGrant(body: unknown, issuer: string): ReadGrant {
  const { grant_type: grantType } = checkShape(anyGrant, body);
  const read = Object.hasOwn(GRANTS, grantType) ? GRANTS[grantType] : undefined;
  if (read === undefined) throw new AppError('unsupported_grant_type');
  return read(body, issuer);
}

function toReader<Parameters>({ parameters, refusal, toRequest }: GrantType<Parameters>): ReadBody {
  return (body, issuer) => ({
    ...toRequest(checkShape(parameters, body), issuer),
    toRefusal: (error) => {
      if (!(error instanceof AppError) || ERRORS[error.code].oauth !== 'invalid_grant') return error;
      const { code, values, detail, cause } = error;
      return new AppError(code, { values, cause, oauth: refusal, ...(detail !== undefined && { detail }) });
    },
  });
}
