import type { AppDirectory, RegisteredApp } from '../apps/directory.ts';
import type { App } from '../apps/schemas.ts';
import { AppError } from '../core/errors.ts';
import { createClientId } from '../core/ids.ts';
import type { JsonObject } from '../core/json.ts';
import { quote } from '../core/quote.ts';
import { type CompactJwe, type CompactJws, parseCompact } from '../jose/compact.ts';
import type { Keyring } from '../jose/keyring.ts';
import { TokenError } from '../jose/token-error.ts';
import { type AssertionProfile, findProfile } from './profiles.ts';

/** What a token says, by a signature that holds. */
export interface AuthenticToken {
  readonly app: App;
  readonly profile: AssertionProfile;
  readonly payload: JsonObject;
  readonly signingInput: string;
}

/** Every check up to the signature: whoever signed it meant it, at some time. Its claims are not looked at. */
export type AuthenticateToken = (token: string) => Promise<AuthenticToken>;

export interface AuthenticateTokenDeps {
  readonly directory: AppDirectory;
  readonly keyring: () => Promise<Keyring>;
}

// SECURITY: unknown client, wrong algorithm, wrong signature and failed decryption look the same from outside.
const untrusted = (detail: string, cause?: unknown): AppError => new AppError('assertion_untrusted', { detail, cause });
const wrongType = (typ: unknown): AppError =>
  malformed('the header\'s "typ" is not "JWT"', `"typ" is ${quote(typ)}, which is not taken here`);
const malformed = (publicDetail: string, detail?: string): AppError =>
  new AppError('assertion_malformed', { values: { detail: publicDetail }, ...(detail !== undefined && { detail }) });

/** Values of a `typ` or `cty` that says JWT (RFC 7519 §5.1, §5.2); every other one belongs to a profile of its own. */
const SAYS_JWT = /^jwt$/i;

/** The checks in their order: shape, decryption, app, algorithm, signature. */
export function createAuthenticateToken({ directory, keyring }: AuthenticateTokenDeps): AuthenticateToken {
  const open = async (jwe: CompactJwe): Promise<CompactJws> => {
    for (const member of ['typ', 'cty']) checkType(jwe.header, member);
    const union = await directory.jweUnion();
    const { alg, enc } = jwe.header;
    if (!isIn(union.algs, alg) || !isIn(union.encs, enc))
      throw untrusted(`no app allows a JWE of "alg" ${quote(alg)} and "enc" ${quote(enc)}`);
    let failure: unknown;
    for (const key of (await keyring()).select(jwe.header)) {
      try {
        return checkInside(await key.decrypt(jwe.text, union));
      } catch (error) {
        failure = error;
      }
    }
    if (failure instanceof AppError) throw failure;
    const why = failure === undefined ? 'the JWE names an unknown key' : 'the JWE cannot be decrypted';
    throw untrusted(`${why}: "kid" is ${quote(jwe.header['kid'])}`, failure);
  };

  /**
   * Who sent a JWE, and what it holds.
   * SECURITY: what cannot be decrypted takes the way of an unknown client to its end, the question to the store included: neither
   * the answer nor its time tells that something could be decrypted.
   */
  const openSender = async (jwe: CompactJwe): Promise<Sender> => {
    try {
      const jws = await open(jwe);
      return readSender(jws, jwe);
    } catch (error) {
      await directory.find(createClientId());
      throw error;
    }
  };

  return async function authenticateToken(token) {
    const outer = parseToken(token);
    const { jws, profile, clientId } = outer.kind === 'jwe' ? await openSender(outer) : readSender(outer, outer);
    const registered = await directory.find(clientId);
    if (registered === undefined) throw untrusted(`unknown client ${clientId}`);
    await checkSignature(registered, jws, outer);
    const { app } = registered;
    if (!profile.isAllowed(app)) throw wrongType(jws.header['typ']);
    if (!app.enabled) throw new AppError('app_disabled', { detail: clientId });
    if (app.jwe.required && outer.kind !== 'jwe') throw new AppError('jwe_required', { detail: clientId });
    return { app, profile, payload: jws.payload, signingInput: jws.signingInput };
  };
}

/** A token of which it is known what it says, and of whom it says it. */
interface Sender {
  readonly jws: CompactJws;
  readonly profile: AssertionProfile;
  readonly clientId: string;
}

/**
 * The client id that a token names, if it says that it is an assertion.
 * SECURITY: what was encrypted fails with the one sentence until its signature has held: it must not tell that it was decrypted.
 */
function readSender(jws: CompactJws, outer: CompactJws | CompactJwe): Sender {
  try {
    const profile = findProfile(jws.header['typ']);
    if (profile === undefined) throw wrongType(jws.header['typ']);
    return { jws, profile, clientId: profile.readClientId(jws.payload) };
  } catch (error) {
    throw outer.kind === 'jwe' ? untrusted(`inside the JWE: ${toDetail(error)}`, error) : error;
  }
}

async function checkSignature(
  { app, verify }: RegisteredApp,
  jws: CompactJws,
  outer: CompactJws | CompactJwe,
): Promise<void> {
  if (jws.header['alg'] !== app.algorithm)
    throw untrusted(`${app.clientId}: "alg" is ${quote(jws.header['alg'])}; registered is ${app.algorithm}`);
  const { alg, enc } = outer.header;
  if (outer.kind === 'jwe' && !(isIn(app.jwe.algs, alg) && isIn(app.jwe.encs, enc))) {
    throw untrusted(`${app.clientId}: this app allows no JWE of "alg" ${quote(alg)} and "enc" ${quote(enc)}`);
  }
  if (!(await verify(jws))) throw untrusted(`${app.clientId}: the signature does not hold`);
}

/** What the log is told of a failure whose sentence nobody outside may see. */
function toDetail(error: unknown): string {
  return error instanceof AppError ? (error.detail ?? error.values.detail ?? error.code) : 'no JWT with an issuer';
}

function parseToken(text: string): CompactJws | CompactJwe {
  try {
    return parseCompact(text);
  } catch (error) {
    throw error instanceof TokenError ? malformed(error.message) : error;
  }
}

/** What a JWE holds must be a JWS: anyone can encrypt claims, since the key is public. */
function checkInside(text: string): CompactJws {
  let inner: CompactJws | CompactJwe;
  try {
    inner = parseCompact(text);
  } catch (error) {
    throw error instanceof TokenError ? untrusted(`inside the JWE: ${error.message}`) : error;
  }
  if (inner.kind !== 'jws') throw untrusted('inside the JWE is no JWS');
  return inner;
}

function checkType(header: CompactJws['header'], member: string): void {
  const value = header[member];
  if (value === undefined || (typeof value === 'string' && SAYS_JWT.test(value))) return;
  throw malformed(`the header's "${member}" is not "JWT"`, `"${member}" of the JWE is ${quote(value)}`);
}

function isIn(allowed: readonly string[], name: unknown): boolean {
  return typeof name === 'string' && allowed.includes(name);
}
