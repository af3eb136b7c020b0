import { createHmac, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';

/** A registered app that assertions are made for. */
export interface BenchApp {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** The longest life that an assertion with a `jti` may have is an hour. */
const LIFETIME_SECONDS = 3_500;
export const AUDIENCE = 'https://idproxy.kore.com/authorize';
/** What the servers that know one app alone verify with. Not a secret. */
export const DAY_SECRET = 'the-secret-of-an-app-that-only-the-bench-knows';
/** How many users the assertions speak for, in turn. */
const USER_COUNT = 1_000;

const toSegment = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** HS256 assertions, each with a `jti` of its own, for that many users called `<name>-<number>@example.com`. */
export function createAssertions(
  { clientId, clientSecret }: BenchApp,
  count: number,
  name: string,
  userCount: number = count,
): string[] {
  const header = toSegment({ alg: 'HS256', typ: 'JWT' });
  const issuedAt = Math.floor(Date.now() / 1000);
  return Array.from({ length: count }, (_, index) => {
    const payload = toSegment({
      iat: issuedAt,
      exp: issuedAt + LIFETIME_SECONDS,
      jti: randomUUID(),
      aud: AUDIENCE,
      iss: clientId,
      sub: `${name}-${index % userCount}@example.com`,
      isAnonymous: false,
    });
    const input = `${header}.${payload}`;
    return `${input}.${createHmac('sha256', clientSecret).update(input).digest('base64url')}`;
  });
}

/** Bodies for `POST /authorize`: assertions of {@link USER_COUNT} users. */
export function createAssertionBodies(app: BenchApp, count: number): string[] {
  return createAssertions(app, count, 'user', USER_COUNT).map((assertion) => JSON.stringify({ assertion }));
}

/** Writes bodies as the load generators read them: one a line. */
export async function writeBodies(file: string, bodies: readonly string[]): Promise<void> {
  await writeFile(file, `${bodies.join('\n')}\n`);
}
