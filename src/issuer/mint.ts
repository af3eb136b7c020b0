import type { Clock } from '../core/clock.ts';
import { createJti } from '../core/ids.ts';
import type { JsonObject } from '../core/json.ts';
import type { JweEncrypter } from '../jose/jwe.ts';
import type { JwsSigner } from '../jose/jws.ts';
import type { ClaimsName, IssuerSettings } from './settings.ts';
import type { Subject } from './subject.ts';

export interface MinterDeps extends Pick<IssuerSettings, 'clientId' | 'tokenLifetimeSeconds' | 'koreClaims'> {
  readonly clock: Clock;
  readonly signer: JwsSigner;
  /** Where set, what is signed is encrypted too, and private claims may travel in it. */
  readonly encrypter?: JweEncrypter;
  readonly claimsName: ClaimsName;
}

/** Signs for a subject and an audience. @returns a JWS, or a nested JWE around it */
export type Minter = (subject: Subject, audience: string, privateClaims?: JsonObject) => Promise<string>;

/** Mints the seeds' assertions: a fresh `jti` in each, times in whole seconds. */
export function createMinter(deps: MinterDeps): Minter {
  const { clientId, tokenLifetimeSeconds, koreClaims, clock, signer, encrypter, claimsName } = deps;
  return async ({ identity, isAnonymous, identityToMerge }, audience, privateClaims) => {
    const issuedAt = Math.floor(clock.nowSeconds());
    const jti = createJti();
    const jws = await signer.sign({
      iat: issuedAt,
      exp: issuedAt + tokenLifetimeSeconds,
      jti,
      aud: audience,
      iss: clientId,
      sub: identity,
      isAnonymous,
      ...(identityToMerge !== undefined && { identityToMerge }),
      ...(koreClaims && { kore_jti: jti, kore_iss: clientId, kore_sub: identity }),
      // SECURITY: a JWS is readable by whoever carries it, the browser first.
      ...(encrypter && privateClaims && { [claimsName]: privateClaims }),
    });
    return encrypter ? encrypter.encrypt(jws) : jws;
  };
}
