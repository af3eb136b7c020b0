import { AppError } from '../core/errors.ts';
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
      if (error instanceof AppError && error.code !== 'store_unavailable' && error.code !== 'internal') return false;
      throw error;
    }
  };
}
