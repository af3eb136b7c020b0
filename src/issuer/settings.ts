import type { Clock } from '../core/clock.ts';
import type { Secret } from '../core/secret.ts';
import type { CorsPolicy } from '../http/cors.ts';
import type { AppDeps, Express } from '../http/create-app.ts';
import type { JweAlgorithm, JweEncryption, JwsAlgorithm } from '../jose/algorithms.ts';
import type { RsaPublicJwk } from '../jose/jwk.ts';

/** Where the answer of the forward-auth URL names the user: a member of its JSON body, or a header field. */
export type IdentityPlace = `json:${string}` | `header:${string}`;

/** How a caller shows for whom it may have tokens signed. */
export type CallerAuth =
  /** `isNetworkAllowed`: whether others than this machine may ask, too. */
  | { readonly mode: 'open'; readonly isNetworkAllowed: boolean }
  /** `keys`: the text of a file with lines `label:sha256`. */
  | { readonly mode: 'api-key'; readonly keys: string }
  | { readonly mode: 'forward-auth'; readonly url: string; readonly identity: IdentityPlace }
  | {
      readonly mode: 'oidc';
      readonly issuer: string;
      readonly audience: string;
      readonly jwksUrl: string;
      readonly identityClaim: string;
    };

/** Where private claims come from. Never the browser. */
export type ClaimsOrigin = { readonly file: string } | { readonly url: string; readonly token?: Secret };

/** The claim under which private claims travel. */
export type ClaimsName = 'privateClaims' | 'secureCustomData';

/** Everything that one issuer is told. */
export interface IssuerSettings {
  readonly clientId: string;
  readonly algorithm: JwsAlgorithm;
  /** The client secret as text (HS…) or an RSA private key as PEM (RS…). */
  readonly key: Secret;
  /** The first is the default; a caller may ask for the others. */
  readonly audiences: readonly [string, ...string[]];
  readonly tokenLifetimeSeconds: number;
  /** Whether to set `kore_jti`, `kore_iss` and `kore_sub` besides. */
  readonly koreClaims: boolean;
  /** Where set, tokens are encrypted for this key. */
  readonly jwe?: { readonly jwk: RsaPublicJwk; readonly alg: JweAlgorithm; readonly enc: JweEncryption };
  readonly callerAuth: CallerAuth;
  readonly allowAnonymous: boolean;
  /** Asked only where `jwe` is set: private claims travel encrypted or not at all. */
  readonly claims?: ClaimsOrigin;
  readonly claimsName: ClaimsName;
  /** For the forward-auth, claims and JWKS URLs. */
  readonly upstreamTimeoutMs: number;
  readonly rateLimitPerMinute: number;
  readonly cors: CorsPolicy;
}

/** What the issuer needs from outside. */
export interface IssuerDeps extends Omit<AppDeps, 'name'> {
  readonly clock: Clock;
  readonly fetch: typeof fetch;
  /** Adds routes behind the issuer's own and before the 404. */
  readonly mountMore?: (app: Express) => void;
}

/** A setting that the issuer cannot start with. The message says why and quotes no secret. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}
