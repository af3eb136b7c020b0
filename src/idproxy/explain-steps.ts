import type { AppDirectory, RegisteredApp } from '../apps/directory.ts';
import { AppError, type ErrorCode } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { type CompactJwe, type CompactJws, parseCompact } from '../jose/compact.ts';
import type { Keyring } from '../jose/keyring.ts';
import { TokenError } from '../jose/token-error.ts';
import { type AssertionProfile, findProfile } from './profiles.ts';

export interface StepDeps {
  readonly directory: AppDirectory;
  readonly keyring: () => Promise<Keyring>;
}

/** What is known of a token so far. */
export interface Trace {
  readonly token: string;
  readonly wanted: string | undefined;
  outer?: CompactJws | CompactJwe;
  jws?: CompactJws;
  profile?: AssertionProfile | undefined;
  registered?: RegisteredApp | undefined;
  isAlgorithmRight?: boolean;
}

/** One step up to the signature. */
export interface Step {
  readonly check: string;
  /** What must be known for it to be asked. */
  readonly needs: readonly (keyof Trace)[];
  /** @returns what there is to say; a failure where it is refused; undefined where the step is not for this token */
  run(trace: Trace, deps: StepDeps): Finding | undefined | Promise<Finding | undefined>;
}

/** What there is to say, or why it is refused. */
export type Finding = string | { readonly failure: ErrorCode; readonly says: string };

const refuse = (failure: ErrorCode, says: string): Finding => ({ failure, says });
const untrusted = (says: string): Finding => refuse('assertion_untrusted', says);
const isIn = (allowed: readonly string[], name: unknown): boolean => allowed.some((one) => one === name);

/** The steps in the order of the verification; the names of claims stand behind them. */
export const STEPS: readonly Step[] = [
  { check: 'shape', needs: [], run: readShape },
  { check: 'encryption', needs: ['outer'], run: openJwe },
  { check: 'type', needs: ['jws'], run: readType },
  { check: 'app', needs: ['jws', 'profile'], run: findApp },
  { check: 'algorithm', needs: ['registered'], run: checkAlgorithm },
  { check: 'encryption of the app', needs: ['registered'], run: checkJweOfApp },
  { check: 'signature', needs: ['registered', 'isAlgorithmRight'], run: checkSignature },
  { check: 'kind', needs: ['registered', 'profile'], run: checkKind },
  { check: 'enabled', needs: ['registered'], run: checkEnabled },
  { check: 'encryption required', needs: ['registered'], run: checkJweRequired },
];

/** Kinds of tokens that are no assertions, by their `typ`. */
const OTHER_TYPES: Readonly<Record<string, string>> = {
  'at+jwt': 'an access token: it is sent as a bearer, not as an assertion',
  'dpop+jwt': 'a DPoP proof: it is sent in the header field DPoP',
  'application/jwt': 'spelt "JWT" in an assertion',
};

function readShape(trace: Trace): Finding {
  if (trace.token.startsWith('cs1_'))
    return refuse('assertion_malformed', 'it is a bearer of this server, not an assertion');
  try {
    trace.outer = parseCompact(trace.token);
  } catch (error) {
    if (error instanceof TokenError) return refuse('assertion_malformed', error.message);
    throw error;
  }
  if (trace.outer.kind === 'jws') trace.jws = trace.outer;
  return `${trace.outer.kind === 'jws' ? 'signed (JWS)' : 'encrypted (JWE)'}, ${trace.token.length} bytes`;
}

/** SECURITY: tells more of a failed decryption than any client may know. For the admin alone. */
async function openJwe(trace: Trace, { directory, keyring }: StepDeps): Promise<Finding | undefined> {
  const { outer } = trace;
  if (outer?.kind !== 'jwe') return undefined;
  const { alg, enc, kid, typ, cty } = outer.header;
  for (const [member, value] of Object.entries({ typ, cty })) {
    if (value !== undefined && !(typeof value === 'string' && /^jwt$/i.test(value)))
      return refuse('assertion_malformed', `the header's "${member}" is ${quote(value)}, not "JWT"`);
  }
  const union = await directory.jweUnion();
  if (!isIn(union.algs, alg) || !isIn(union.encs, enc)) {
    const allowed = `${union.algs.join(', ')} with ${union.encs.join(', ')}`;
    return untrusted(`"alg" is ${quote(alg)} and "enc" ${quote(enc)}; the apps allow ${allowed}`);
  }
  const { all, select } = await keyring();
  const keys = select(outer.header);
  if (keys.length === 0) {
    return untrusted(`"kid" is ${quote(kid)}; the platform has ${all.map((key) => quote(key.kid)).join(', ')}`);
  }
  for (const key of keys) {
    const text = await key.decrypt(outer.text, union).catch(() => undefined);
    if (text === undefined) continue;
    return readInside(trace, text) ?? `${String(alg)} with ${String(enc)}, decrypted with key ${quote(key.kid)}`;
  }
  return untrusted(
    'it cannot be decrypted: was it encrypted for another key of the same "kid", or changed on its way?',
  );
}

function readInside(trace: Trace, text: string): Finding | undefined {
  try {
    const inner = parseCompact(text);
    if (inner.kind === 'jwe') return untrusted('inside the JWE is another JWE, not a JWS');
    trace.jws = inner;
    return undefined;
  } catch (error) {
    if (error instanceof TokenError) return untrusted(`inside the JWE: ${error.message}`);
    throw error;
  }
}

const hide = (trace: Trace, failure: ErrorCode, says: string): Finding =>
  refuse(trace.outer?.kind === 'jwe' ? 'assertion_untrusted' : failure, says);

function readType(trace: Trace): Finding {
  const { alg, typ, kid } = trace.jws?.header ?? {};
  trace.profile = findProfile(typ) ?? findProfile(undefined);
  if (findProfile(typ) !== undefined) return `"alg" ${quote(alg)}, "typ" ${quote(typ)}, "kid" ${quote(kid)}`;
  const name = typeof typ === 'string' ? typ.toLowerCase() : '';
  const kind = Object.hasOwn(OTHER_TYPES, name) ? `, which is ${OTHER_TYPES[name]}` : '';
  return hide(trace, 'assertion_malformed', `"typ" is ${quote(typ)}, not "JWT"${kind}`);
}

async function findApp(trace: Trace, { directory }: StepDeps): Promise<Finding> {
  const { wanted, profile, jws } = trace;
  const payload = jws?.payload ?? {};
  let clientId: string | undefined;
  let error: AppError | undefined;
  try {
    clientId = profile?.readClientId(payload);
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown;
    error = thrown;
  }
  const looked = wanted ?? clientId;
  trace.registered = looked === undefined ? undefined : await directory.find(looked);
  if (error !== undefined) return hide(trace, error.code, error.detail ?? error.code);
  const claim = Object.keys(payload).find((name) => CLIENT_CLAIMS.has(name) && payload[name] === clientId) ?? 'iss';
  const named = `"${claim}" is ${quote(clientId)}`;
  if (wanted !== undefined && clientId !== wanted) return untrusted(`${named}, not ${quote(wanted)}`);
  if (trace.registered === undefined) return untrusted(`${named}, which is not registered`);
  return `${named}: ${quote(trace.registered.app.name)}`;
}

/** Claims that may name the client. */
const CLIENT_CLAIMS: ReadonlySet<string> = new Set(['kore_iss', 'iss', 'client_id']);

function checkAlgorithm(trace: Trace): Finding {
  const registered = trace.registered?.app.algorithm;
  const alg = trace.jws?.header['alg'];
  if (alg !== registered) return untrusted(`"alg" is ${quote(alg)}; registered is ${registered}`);
  trace.isAlgorithmRight = true;
  return `${registered}, as registered`;
}

function checkJweOfApp({ outer, registered }: Trace): Finding | undefined {
  if (outer?.kind !== 'jwe' || registered === undefined) return undefined;
  const { algs, encs } = registered.app.jwe;
  const { alg, enc } = outer.header;
  const allowed = `${algs.join(', ')} with ${encs.join(', ')}`;
  if (isIn(algs, alg) && isIn(encs, enc)) return `allowed: ${allowed}`;
  return untrusted(`"alg" is ${quote(alg)} and "enc" ${quote(enc)}; this app allows ${allowed}`);
}

async function checkSignature({ jws, registered }: Trace): Promise<Finding> {
  if (jws !== undefined && (await registered?.verify(jws)) === true) return 'holds under a key of this app';
  return untrusted("does not hold: is it signed with this app's key (a secret counts as text, not base64-decoded)?");
}

function checkKind({ profile, registered, jws }: Trace): Finding | undefined {
  if (registered === undefined || profile?.isAllowed(registered.app) === true) return undefined;
  return refuse('assertion_malformed', `this app does not take tokens of "typ" ${quote(jws?.header['typ'])}`);
}

function checkEnabled({ registered }: Trace): Finding {
  return registered?.app.enabled === true ? 'the app is enabled' : refuse('app_disabled', 'the app is disabled');
}

function checkJweRequired({ outer, registered }: Trace): Finding | undefined {
  if (registered?.app.jwe.required !== true) return undefined;
  return outer?.kind === 'jwe'
    ? 'it is encrypted'
    : refuse('jwe_required', 'this app takes encrypted tokens (JWE) only');
}
