import { createHmac, type KeyObject, randomUUID, sign } from 'node:crypto';
import { promisify } from 'node:util';

/** A registered app that assertions are made for. */
export interface BenchApp {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** Whom assertions speak for, in turn: `<name>-<number>@example.com`. */
export interface AssertionUsers {
  readonly name: string;
  readonly count: number;
}

/** The longest life that an assertion with a `jti` may have is an hour. */
const LIFETIME_SECONDS = 3_500;
export const AUDIENCE = 'https://idproxy.kore.com/authorize';
/** What the servers that know one app alone verify with. Not a secret. */
export const DAY_SECRET = 'the-secret-of-an-app-that-only-the-bench-knows';
/** Whom the assertions of a rate speak for. */
const SHARED_USERS: AssertionUsers = { name: 'user', count: 1_000 };

const signInPool = promisify(sign);
const toSegment = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Header and claims of assertions, each with a `jti` of its own. */
function createSigningInputs(alg: string, clientId: string, count: number, users: AssertionUsers): string[] {
  const header = toSegment({ alg, typ: 'JWT' });
  const issuedAt = Math.floor(Date.now() / 1000);
  return Array.from({ length: count }, (_, index) => {
    const payload = toSegment({
      iat: issuedAt,
      exp: issuedAt + LIFETIME_SECONDS,
      jti: randomUUID(),
      aud: AUDIENCE,
      iss: clientId,
      sub: `${users.name}-${index % users.count}@example.com`,
      isAnonymous: false,
    });
    return `${header}.${payload}`;
  });
}

/** HS256 assertions, each with a `jti` of its own, for that many users. */
export function createAssertions(
  { clientId, clientSecret }: BenchApp,
  count: number,
  users: AssertionUsers = SHARED_USERS,
): string[] {
  return createSigningInputs('HS256', clientId, count, users).map(
    (input) => `${input}.${createHmac('sha256', clientSecret).update(input).digest('base64url')}`,
  );
}

/** RS256 assertions, each with a `jti` of its own; signed on all cores, since a signature takes a third of a millisecond. */
export function createRs256Assertions(clientId: string, privateKey: KeyObject, count: number): Promise<string[]> {
  const inputs = createSigningInputs('RS256', clientId, count, SHARED_USERS);
  const signOne = async (input: string): Promise<string> =>
    `${input}.${(await signInPool('sha256', Buffer.from(input), privateKey)).toString('base64url')}`;
  return Promise.all(inputs.map(signOne));
}
