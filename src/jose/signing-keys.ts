import type { JsonObject } from '../core/json.ts';

/** The keys that the platform signs its own tokens with. */
export interface SigningKeys {
  readonly alg: 'RS256';
  /** A JWS in compact serialization with the header `{alg, typ, kid}`, under the current key. */
  sign(typ: string, claims: JsonObject): Promise<string>;
  /** The claims of a token of this `typ` that one of the live keys signed; its times are not looked at. @returns undefined otherwise */
  verify(typ: string, token: string): Promise<JsonObject | undefined>;
}
