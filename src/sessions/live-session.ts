import type { IncomingMessage } from 'node:http';

import type { App } from '../apps/schemas.ts';
import type { JsonObject } from '../core/json.ts';
import type { SessionName } from '../stores/ports.ts';

/** A live bearer session, as far as this room needs it. */
export interface LiveSession extends SessionName {
  /** Its public name. */
  readonly id: string;
  readonly identityId: string;
  /** The conversation of its user, as it is now. */
  readonly conversation: string;
  readonly session: {
    readonly clientId: string;
    readonly subject: string;
    readonly userId: string;
    readonly isAnonymous: boolean;
    /** In seconds since the epoch. */
    readonly expiresAt: number;
    /** Encrypted. */
    readonly sealedContext?: string;
  };
  /** Absent where the app was deleted. */
  readonly app: App | undefined;
}

/** What is known of a user beside who it is; `customData` is not signed. */
export interface UserContext {
  readonly privateClaims: JsonObject;
  readonly secureCustomData: JsonObject;
  readonly customData: JsonObject;
}

/** What this room asks of whoever keeps the bearers. */
export interface BearerSessions {
  /** @returns undefined where it is unknown, revoked or expired */
  find(name: SessionName): Promise<LiveSession | undefined>;
  /**
   * @throws AppError `bearer_missing`, `bearer_invalid` (401), the like of them where a bearer is bound to a key, `client_forbidden`
   * (403)
   */
  authenticate(req: IncomingMessage): Promise<LiveSession & { readonly app: App }>;
  /** Whether a token was signed for the session's user; its times are not looked at. */
  isTokenOf(token: string, live: LiveSession): Promise<boolean>;
  /** @throws AppError `internal` */
  openContext(live: LiveSession): UserContext;
}
