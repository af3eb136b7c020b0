import { toIsoDate } from '../../core/clock.ts';
import type { AppKey, AppKeyView } from './schemas.ts';

/** A key without its secret. */
export function toAppKeyView({ kid, createdAt, activatesAt, retiresAt, publicKey, jwksUrl }: AppKey): AppKeyView {
  return {
    kid,
    kind: toKind({ publicKey, jwksUrl }),
    ...(publicKey !== undefined && { publicKey }),
    ...(jwksUrl !== undefined && { jwksUrl }),
    createdAt: toIsoDate(createdAt),
    activatesAt: toIsoDate(activatesAt),
    ...(retiresAt !== undefined && { retiresAt: toIsoDate(retiresAt) }),
  };
}

function toKind({ publicKey, jwksUrl }: Pick<AppKey, 'publicKey' | 'jwksUrl'>): AppKeyView['kind'] {
  if (publicKey !== undefined) return 'publicKey';
  return jwksUrl === undefined ? 'secret' : 'jwks';
}
