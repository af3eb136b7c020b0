import type { z } from 'zod';

import type { ExchangeOptions } from '../exchange.ts';
import type { TokenResponse } from '../schemas.ts';

/** What a request for a token comes down to. */
export interface GrantRequest {
  readonly assertion: string;
  readonly options: ExchangeOptions;
  /** What the answer says that it issued. */
  readonly issuedTokenType?: TokenResponse['issued_token_type'];
}

/** One way to ask for a token, by `grant_type`. */
export interface GrantType<Parameters> {
  /** What its requests are made of. */
  readonly parameters: z.ZodType<Parameters>;
  /** The error code of an assertion that is refused. */
  readonly refusal: 'invalid_grant' | 'invalid_request';
  /**
   * @param issuer - our own issuer identifier
   * @throws AppError `invalid_request`, `invalid_scope`, `invalid_target`
   */
  toRequest(parameters: Parameters, issuer: string): GrantRequest;
}
