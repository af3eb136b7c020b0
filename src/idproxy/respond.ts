import { toIsoDate } from '../core/clock.ts';
import { toStableUuid } from '../core/ids.ts';
import { DPOP_ALGORITHM_NAMES } from '../jose/dpop-proof.ts';
import { isBoundAsAsked, type LiveSession } from './authenticate.ts';
import type { Grant } from './exchange.ts';
import { GRANT_TYPES } from './grants/grants.ts';
import type {
  AuthorizeResponse,
  IntrospectionResponse,
  JwtGrantResponse,
  Metadata,
  TokenResponse,
  UserInfo,
} from './schemas.ts';
import type { Session } from './session.ts';
import type { UserContext } from './user-context.ts';

/** The one organisation of an installation and the account of an app, as published clients expect to see them. */
const toOwner = (clientId: string) => {
  const account = toStableUuid(OWNER_KEY, clientId);
  return { accountId: account, managedBy: account, orgId: ORGANISATION };
};
/** Not a secret: these ids name nothing that is protected. */
const OWNER_KEY = Buffer.from('countersign');
const ORGANISATION = `o-${toStableUuid(OWNER_KEY, 'organisation')}`;

/** `POST /authorize`. @param now - seconds since the epoch */
export function toAuthorizeResponse({ accessToken, session }: Grant, now: number): AuthorizeResponse {
  return {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: toLifeLeft(session, now),
    issued_at: Math.floor(session.issuedAt),
  };
}

/** `POST /oauth/token`. @param now - seconds since the epoch; @param issuedTokenType - of a token exchange (RFC 8693 §2.2.1) */
export function toTokenResponse(
  { accessToken, session }: Grant,
  now: number,
  issuedTokenType: TokenResponse['issued_token_type'],
): TokenResponse {
  return {
    access_token: accessToken,
    ...(issuedTokenType !== undefined && { issued_token_type: issuedTokenType }),
    token_type: toTokenType(session),
    expires_in: toLifeLeft(session, now),
  };
}

const toLifeLeft = ({ expiresAt }: Session, now: number): number => Math.max(0, Math.round(expiresAt - now));
const toTokenType = ({ jkt }: Session) => (jkt === undefined ? ('Bearer' as const) : ('DPoP' as const));

/** The published clients' shape. */
export function toJwtGrantResponse({ accessToken, session }: Grant): JwtGrantResponse {
  return {
    authorization: {
      accessToken,
      token_type: 'bearer',
      issuedDate: toIsoDate(session.issuedAt),
      expiresDate: toIsoDate(session.expiresAt),
    },
    userInfo: toUserInfo(session),
  };
}

export function toUserInfo({ userId, clientId, subject }: Session): UserInfo {
  return { userId, ...toOwner(clientId), identity: `${clientId}/${subject}`, enrollType: 'free', fName: '', lName: '' };
}

/** RFC 7662 §2.2. @param context - for callers that may see it */
export function toIntrospection(
  live: LiveSession | undefined,
  issuer: string,
  context?: UserContext,
): IntrospectionResponse {
  if (!live?.app?.enabled || !isBoundAsAsked(live)) return { active: false };
  const { clientId, subject, userId, isAnonymous, issuedAt, expiresAt, jkt } = live.session;
  return {
    active: true,
    client_id: clientId,
    sub: subject,
    user_id: userId,
    is_anonymous: isAnonymous,
    session_id: live.id,
    token_type: toTokenType(live.session),
    iss: issuer,
    iat: Math.floor(issuedAt),
    exp: Math.floor(expiresAt),
    ...(jkt !== undefined && { cnf: { jkt } }),
    ...(context && { user_context: context }),
  };
}

/** RFC 8414 metadata of the idproxy at `publicUrl`. */
export function toMetadata(publicUrl: string): Metadata {
  return {
    issuer: publicUrl,
    token_endpoint: `${publicUrl}/oauth/token`,
    introspection_endpoint: `${publicUrl}/oauth/introspect`,
    revocation_endpoint: `${publicUrl}/oauth/revoke`,
    jwks_uri: `${publicUrl}/.well-known/jwks.json`,
    userinfo_endpoint: `${publicUrl}/api/1.1/userinfo`,
    response_types_supported: [],
    grant_types_supported: [...GRANT_TYPES],
    authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'],
    token_endpoint_auth_methods_supported: ['none'],
    // A registered token type may stand here for introspection alone (RFC 8414 §2); revocation takes bearers, too.
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'Bearer'],
    revocation_endpoint_auth_methods_supported: ['client_secret_basic'],
    dpop_signing_alg_values_supported: [...DPOP_ALGORITHM_NAMES],
  };
}
