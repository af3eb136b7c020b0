import type { SigningKeys } from '../jose/signing-keys.ts';
import type { SessionName } from '../stores/ports.ts';
import { parseBearer } from './bearer.ts';
import { parseSessionId, type Session, toSessionId } from './session.ts';

/** The `typ` of access tokens that are JWTs (RFC 9068 §2.1). */
const ACCESS_TOKEN_TYP = 'at+jwt';

/** What somebody presents as a bearer: where its session would be. */
export interface PresentedToken extends SessionName {
  /** Whether it says that it is bound to a key. */
  readonly isBound: boolean;
}

/** Bearers that are JWTs of the platform, and the reading of all kinds. */
export interface AccessTokens {
  /**
   * The JWT that stands for a session; nobody is told its opaque text. The same session always gets the same one, while the signing
   * key is the same.
   */
  sign(session: Session, name: SessionName): Promise<string>;
  /** @returns undefined where the text cannot be a bearer of ours; whether its session lives is another question */
  parse(text: string): Promise<PresentedToken | undefined>;
}

export interface AccessTokenDeps {
  readonly signing: () => Promise<SigningKeys>;
  readonly publicUrl: () => string;
}

export function createAccessTokens({ signing, publicUrl }: AccessTokenDeps): AccessTokens {
  return {
    sign: async ({ userId, clientId, issuedAt, expiresAt, jkt }, name) =>
      (await signing()).sign(ACCESS_TOKEN_TYP, {
        iss: publicUrl(),
        // Of the subjects of two apps one may look like the other; and a subject is often an address that a JWT would show to all.
        sub: userId,
        aud: publicUrl(),
        client_id: clientId,
        iat: Math.floor(issuedAt),
        exp: Math.floor(expiresAt),
        jti: toSessionId(name),
        ...(jkt !== undefined && { cnf: { jkt } }),
      }),
    parse: async (text) => {
      const bearer = parseBearer(text);
      if (bearer !== undefined) return bearer;
      if (!LOOKS_LIKE_JWS.test(text)) return undefined;
      // SECURITY: the signature alone opens nothing: it names a session, which must live.
      const claims = await (await signing()).verify(ACCESS_TOKEN_TYP, text);
      const jti = claims?.['jti'];
      const name = typeof jti === 'string' ? parseSessionId(jti) : undefined;
      return name && { ...name, isBound: claims?.['cnf'] !== undefined };
    },
  };
}

const LOOKS_LIKE_JWS = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/;
