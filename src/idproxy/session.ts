import { AppError } from '../core/errors.ts';
import type { SessionName } from '../stores/ports.ts';

/** What a bearer stands for. Times in seconds since the epoch. */
export interface Session {
  readonly clientId: string;
  readonly subject: string;
  readonly userId: string;
  readonly isAnonymous: boolean;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** What the assertion and the client said of the user, encrypted. Absent where they said nothing. */
  readonly sealedContext?: string;
}

/** The stored form, with short names: it is kept once for every bearer. Whose it is stands with the identity, and goes with it. */
type Stored = readonly [issuedAt: number, expiresAt: number, sealedContext?: string];

export function toSessionBody({ issuedAt, expiresAt, sealedContext }: Session): string {
  const stored: Stored = [issuedAt, expiresAt];
  return JSON.stringify(sealedContext === undefined ? stored : [...stored, sealedContext]);
}

/** @throws AppError `internal` when the store holds something else than a session */
export function parseSessionBody(body: string): Pick<Session, 'issuedAt' | 'expiresAt' | 'sealedContext'> {
  const stored = parse(body);
  if (!isStored(stored)) throw new AppError('internal', { detail: 'a stored session cannot be read' });
  const [issuedAt, expiresAt, sealedContext] = stored;
  return { issuedAt, expiresAt, ...(sealedContext !== undefined && { sealedContext }) };
}

function isStored(value: unknown): value is Stored {
  if (!Array.isArray(value)) return false;
  const [issuedAt, expiresAt, sealedContext] = value as unknown[];
  const isSealed = sealedContext === undefined || typeof sealedContext === 'string';
  return typeof issuedAt === 'number' && typeof expiresAt === 'number' && isSealed;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The public name of a session; it opens nothing. */
export function toSessionId({ tag, key }: SessionName): string {
  return `${tag}.${key}`;
}

const SESSION_ID = /^([0-9a-f]{4})\.([\w-]{43})$/;

/** Where the session of that name is stored. @returns undefined where the text cannot be one */
export function parseSessionId(text: string): SessionName | undefined {
  const [, tag, key] = SESSION_ID.exec(text) ?? [];
  return tag === undefined || key === undefined ? undefined : { tag, key };
}
