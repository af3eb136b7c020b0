import { AppError, ERRORS } from '../core/errors.ts';
import type { AuthenticateToken } from './authenticate-token.ts';
import type { Session } from './session.ts';

/** Whether a token was signed for the user of a session. Its times and its single use are not looked at again. */
export type IsTokenOf = (
  token: string,
  session: Pick<Session, 'clientId' | 'subject' | 'isAnonymous'>,
) => Promise<boolean>;

export function createIsTokenOf(authenticateToken: AuthenticateToken): IsTokenOf {
  return async function isTokenOf(token, { clientId, subject, isAnonymous }) {
    try {
      const { app, profile, payload } = await authenticateToken(token);
      const owner = profile.readSubject(payload);
      return app.clientId === clientId && owner.subject === subject && owner.isAnonymous === isAnonymous;
    } catch (error) {
      // What is not known now is no verdict on the token.
      if (error instanceof AppError && ERRORS[error.code].status < 500) return false;
      throw error;
    }
  };
}
