import type { Clock } from '../../core/clock.ts';
import type { CompactJws } from '../../jose/compact.ts';
import { createJwsVerifier, type JwsVerifier } from '../../jose/jws.ts';
import type { Vault } from '../../vault/vault.ts';
import type { App } from '../schemas.ts';
import { isLive } from './key-life.ts';
import { openSecret } from './key-material.ts';
import type { RemoteKeySets } from './remote-key-sets.ts';
import type { AppKey } from './schemas.ts';

export interface VerifyWithKeysDeps {
  readonly vault: Vault;
  readonly clock: Clock;
  readonly keySets: RemoteKeySets;
}

/** A key of an app, ready for verifying from its first use on. */
interface KeyInUse {
  readonly key: AppKey;
  verify(jws: CompactJws): Promise<boolean>;
}

/**
 * A check whether one of an app's keys that are live signed a token. A `kid` that is one of them picks it alone; customers' own
 * libraries write others, or none, and then every live key is tried.
 * @throws AppError `upstream_unavailable`, VaultError; never on what a token says
 */
export function createVerifyWithKeys(app: App, deps: VerifyWithKeysDeps): (jws: CompactJws) => Promise<boolean> {
  const { clock } = deps;
  const keys = app.keys
    .map((key) => toKeyInUse(app, key, deps))
    // What is at hand is tried before what may have to be fetched.
    .toSorted((a, b) => Number(a.key.jwksUrl !== undefined) - Number(b.key.jwksUrl !== undefined));

  return async function verifyWithKeys(jws) {
    const { kid } = jws.header;
    const now = clock.nowSeconds();
    const named = keys.find(({ key }) => key.kid === kid);
    // SECURITY: whether a key is live is judged for each token: it ends on time without anybody's help.
    for (const { key, verify } of named ? [named] : keys) if (isLive(key, now) && (await verify(jws))) return true;
    return false;
  };
}

function toKeyInUse(app: App, key: AppKey, { vault, keySets }: VerifyWithKeysDeps): KeyInUse {
  const { jwksUrl } = key;
  if (jwksUrl !== undefined) return { key, verify: (jws) => keySets.verify(jwksUrl, jws, app.algorithm) };
  let verifier: Promise<JwsVerifier> | undefined;
  return {
    key,
    verify: async (jws) => {
      verifier ??= createJwsVerifier(app.algorithm, openSecret(vault, app.clientId, key) ?? key.publicKey ?? '');
      return (await verifier).verify(jws);
    },
  };
}
