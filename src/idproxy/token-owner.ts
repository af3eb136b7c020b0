import { AppError, ERRORS } from '../core/errors.ts';
import type { AuthenticateToken } from './authenticate-token.ts';
import type { Session } from './session.ts';

/** Whether a token was signed for the user of a session. Its times and its single use are not looked at again. */
export type IsTokenOf = (
  token: string,
  session: Pick<Session, 'clientId' | 'subject' | 'isAnonymous'>,
) => Promise<boolean>;

/** Why a token is not the user's, for the log: all that whoever sent it is told is that it is not. */
export interface TokenRefusal {
  /** Whose session it was shown for. */
  readonly clientId: string;
  readonly failure: string;
  readonly detail: string | undefined;
}

/** @param onRefused - told why, where the answer is no */
export function createIsTokenOf(
  authenticateToken: AuthenticateToken,
  onRefused: (refusal: TokenRefusal) => void,
): IsTokenOf {
  return async function isTokenOf(token, { clientId, subject, isAnonymous }) {
    try {
      const { app, profile, payload } = await authenticateToken(token);
      const owner = profile.readSubject(payload);
      const isOwn = {
        iss: app.clientId === clientId,
        sub: owner.subject === subject,
        isAnonymous: owner.isAnonymous === isAnonymous,
      };
      const foreign = Object.entries(isOwn).find(([, holds]) => !holds)?.[0];
      if (foreign === undefined) return true;
      onRefused({ clientId, failure: 'another_user', detail: `"${foreign}" is not that of the socket's session` });
      return false;
    } catch (error) {
      // What is not known now is no verdict on the token.
      if (!(error instanceof AppError) || ERRORS[error.code].status >= 500) throw error;
      onRefused({ clientId, failure: error.code, detail: error.detail ?? error.values.detail ?? error.values.claim });
      return false;
    }
  };
}
