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
  /** The thumbprint of the key that its bearer is bound to (RFC 9449 §6). Absent: to none. */
  readonly jkt?: string;
}

/** What is stored of a session itself. */
type StoredSession = Pick<Session, 'issuedAt' | 'expiresAt' | 'sealedContext' | 'jkt'>;

/**
 * The stored form, with short names: it is kept once for every bearer. Whose it is stands with the identity, and goes with it.
 * SECURITY: what says that a bearer is bound stands where versions that know no binding expect a text: they refuse the session.
 */
type Stored = readonly [issuedAt: number, expiresAt: number, rest?: string | Bound];

/** The key's thumbprint, and the encrypted context. */
type Bound = readonly [jkt: string, sealedContext?: string];

export function toSessionBody({ issuedAt, expiresAt, sealedContext, jkt }: Session): string {
  const context = sealedContext === undefined ? [] : [sealedContext];
  return JSON.stringify([issuedAt, expiresAt, ...(jkt === undefined ? context : [[jkt, ...context]])]);
}

/** @throws AppError `internal` when the store holds something else than a session */
export function parseSessionBody(body: string): StoredSession {
  const stored = parse(body);
  if (!isStored(stored)) throw new AppError('internal', { detail: 'a stored session cannot be read' });
  const [issuedAt, expiresAt, rest] = stored;
  const [jkt, sealedContext] = typeof rest === 'object' ? rest : [undefined, rest];
  return {
    issuedAt,
    expiresAt,
    ...(sealedContext !== undefined && { sealedContext }),
    ...(jkt !== undefined && { jkt }),
  };
}

function isStored(value: unknown): value is Stored {
  if (!Array.isArray(value)) return false;
  const [issuedAt, expiresAt, rest] = value as unknown[];
  const isRest = rest === undefined || typeof rest === 'string' || isBound(rest);
  return typeof issuedAt === 'number' && typeof expiresAt === 'number' && isRest;
}

function isBound(value: unknown): value is Bound {
  if (!Array.isArray(value)) return false;
  const [jkt, sealedContext] = value as unknown[];
  return typeof jkt === 'string' && (sealedContext === undefined || typeof sealedContext === 'string');
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

/** The same for the audit trail. @returns undefined where there is none */
export function toTarget(name: SessionName | undefined): { readonly sessionId: string } | undefined {
  return name && { sessionId: toSessionId(name) };
}

const SESSION_ID = /^([0-9a-f]{4})\.([\w-]{43})$/;

/** Where the session of that name is stored. @returns undefined where the text cannot be one */
export function parseSessionId(text: string): SessionName | undefined {
  const [, tag, key] = SESSION_ID.exec(text) ?? [];
  return tag === undefined || key === undefined ? undefined : { tag, key };
}
