import { AppError } from '../core/errors.ts';

/** What a bearer stands for. Times in seconds since the epoch. */
export interface Session {
  readonly clientId: string;
  readonly subject: string;
  readonly userId: string;
  readonly isAnonymous: boolean;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** The stored form, with short names: it is kept once for every bearer. */
type Stored = readonly [
  clientId: string,
  subject: string,
  userId: string,
  isAnonymous: 0 | 1,
  issuedAt: number,
  expiresAt: number,
];

export function toSessionBody({ clientId, subject, userId, isAnonymous, issuedAt, expiresAt }: Session): string {
  const stored: Stored = [clientId, subject, userId, isAnonymous ? 1 : 0, issuedAt, expiresAt];
  return JSON.stringify(stored);
}

/** @throws AppError `internal` when the store holds something else than a session */
export function parseSession(body: string): Session {
  try {
    const [clientId, subject, userId, isAnonymous, issuedAt, expiresAt] = JSON.parse(body) as Stored;
    return { clientId, subject, userId, isAnonymous: isAnonymous === 1, issuedAt, expiresAt };
  } catch (cause) {
    throw new AppError('internal', { detail: 'a stored session cannot be read', cause });
  }
}
