/**
 * oidc-provider 9 as a platform for assertions: a JWT-bearer grant (RFC 7523) and an adapter for Redis, as its documentation has
 * them. `<port> <Redis>`. A public client whose HS256 assertion is verified with jose; its `jti` is claimed by `SET … NX`, for the
 * provider's own replay detection reads first and writes then; the access token is stored by the provider. No grant is stored,
 * so that it has one write less than it could have.
 */
import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto';

import { Redis } from 'ioredis';
import { jwtVerify } from 'jose';
import { type AdapterPayload, errors, Provider } from 'oidc-provider';

import { AUDIENCE, DAY_SECRET } from './assertions.ts';

const JWT_BEARER_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const CLIENT_ID = 'cs-bench';
const SESSION_SECONDS = 3_600;
const [port, redisUrl = ''] = process.argv.slice(2);
const redis = new Redis(redisUrl);
const secret = createSecretKey(Buffer.from(DAY_SECRET));

/** What this grant needs of an adapter; the rest belongs to flows with a browser. */
class RedisAdapter {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn = SESSION_SECONDS): Promise<void> {
    await redis.set(`oidc:${this.name}:${id}`, JSON.stringify(payload), 'EX', expiresIn);
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const text = await redis.get(`oidc:${this.name}:${id}`);
    return text === null ? undefined : (JSON.parse(text) as AdapterPayload);
  }

  async destroy(id: string): Promise<void> {
    await redis.del(`oidc:${this.name}:${id}`);
  }

  findByUid(): Promise<undefined> {
    return Promise.reject(new Error('there are no sessions here'));
  }

  findByUserCode(): Promise<undefined> {
    return Promise.reject(new Error('there are no device codes here'));
  }

  consume(): Promise<void> {
    return Promise.reject(new Error('nothing is consumed here'));
  }

  revokeByGrantId(): Promise<void> {
    return Promise.reject(new Error('there are no grants here'));
  }
}

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: RedisAdapter,
  clients: [
    {
      client_id: CLIENT_ID,
      token_endpoint_auth_method: 'none',
      grant_types: [JWT_BEARER_GRANT],
      response_types: [],
      redirect_uris: [],
    },
  ],
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kty: 'RSA' as const, use: 'sig' as const }] },
  features: { devInteractions: { enabled: false } },
  ttl: { AccessToken: SESSION_SECONDS },
});

provider.registerGrantType<{ assertion?: string }>(
  JWT_BEARER_GRANT,
  async function jwtBearer(ctx) {
    const { client, params } = ctx.oidc;
    const options = { algorithms: ['HS256'], audience: AUDIENCE, issuer: client.clientId, requiredClaims: ['exp'] };
    const { payload } = await jwtVerify(params.assertion ?? '', secret, options).catch((error: unknown) => {
      throw new errors.InvalidGrant(String(error));
    });
    const { sub, jti } = payload;
    if (sub === undefined || jti === undefined) throw new errors.InvalidGrant('it needs "sub" and "jti"');
    const claimed = await redis.set(`oidc:jti:${client.clientId}:${jti}`, '1', 'EX', SESSION_SECONDS, 'NX');
    if (claimed === null) throw new errors.InvalidGrant('a replay');
    const token = new provider.AccessToken({ client, accountId: sub, gty: 'jwt_bearer', grantId: '', scope: '' });
    const value = await token.save();
    ctx.body = { access_token: value, expires_in: token.expiration, token_type: token.tokenType };
  },
  ['assertion'],
);

provider.listen(Number(port), '127.0.0.1');
