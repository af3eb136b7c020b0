import { z } from 'zod';

import { AppError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { Vault } from '../vault/vault.ts';

/** `botInfo.customData` as JSON, in bytes. */
export const MAX_CUSTOM_DATA_BYTES = 4_096;

const members = (description: string) => z.record(z.string(), z.unknown()).meta({ description });

/** What is known of a user beside who it is. */
export const userContext = z
  .strictObject({
    privateClaims: members('Signed by the issuer.'),
    secureCustomData: members('Signed by the issuer, under its other name.'),
    customData: members('From `botInfo`: NOT signed. Whoever holds the assertion may have written anything here.'),
  })
  .meta({
    id: 'UserContext',
    description: 'What is known of a user beside who it is; signed and unsigned data apart.',
  });

export type UserContext = z.output<typeof userContext>;

/** Encrypts what is known of a user, for one session alone. */
export interface UserContexts {
  /** @returns undefined where nothing is known */
  seal(
    sessionId: string,
    context: { readonly [Member in keyof UserContext]?: JsonObject | undefined },
  ): string | undefined;
  /** @throws AppError `internal` where it was sealed under another master key or for another session */
  open(sessionId: string, sealed: string | undefined): UserContext;
}

const MEMBERS = ['privateClaims', 'secureCustomData', 'customData'] as const satisfies readonly (keyof UserContext)[];

function isEmpty(value: JsonObject): boolean {
  for (const _ in value) return false;
  return true;
}

const toPurpose = (sessionId: string): string => `user-context:${sessionId}`;

export function createUserContexts(vault: Vault): UserContexts {
  return {
    seal: (sessionId, context) => {
      const known: Record<string, JsonObject> = {};
      for (const name of MEMBERS) {
        const value = context[name];
        if (value !== undefined && !isEmpty(value)) known[name] = value;
      }
      return isEmpty(known) ? undefined : vault.seal(JSON.stringify(known), toPurpose(sessionId));
    },
    open: (sessionId, sealed) => {
      const empty = { privateClaims: {}, secureCustomData: {}, customData: {} };
      if (sealed === undefined) return empty;
      try {
        return { ...empty, ...(JSON.parse(vault.open(sealed, toPurpose(sessionId))) as Partial<UserContext>) };
      } catch (cause) {
        throw new AppError('internal', { detail: 'a stored user context cannot be opened', cause });
      }
    },
  };
}

/** @throws AppError `invalid_request` where it is larger than {@link MAX_CUSTOM_DATA_BYTES} */
export function checkCustomData(customData: JsonObject | undefined): JsonObject {
  if (customData === undefined) return {};
  if (Buffer.byteLength(JSON.stringify(customData)) <= MAX_CUSTOM_DATA_BYTES) return customData;
  const detail = `"botInfo.customData" must have at most ${MAX_CUSTOM_DATA_BYTES} bytes as JSON`;
  throw new AppError('invalid_request', { values: { detail } });
}
