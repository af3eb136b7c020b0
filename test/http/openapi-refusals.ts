import { type ErrorCode, ERRORS } from '../../src/core/errors.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { type AppUnderTest, BACKENDS, type OpenBackend } from '../support/idproxy-under-test.ts';

const json = (text: string, headers = {}) => ({ headers: { 'content-type': 'application/json', ...headers }, text });

/** Requests that are refused wherever a body is read. */
export const BAD_BODIES: Readonly<
  Record<string, { readonly headers: Readonly<Record<string, string>>; readonly text: string }>
> = {
  malformed_body: json('{'),
  invalid_request: json('{"identity":5,"assertion":5,"token":5,"grant_type":5,"botInfo":5,"name":5}'),
  body_too_large: json(`{"name":"${'x'.repeat(70_000)}"}`),
  unsupported_media_type: { headers: { 'content-type': 'text/plain' }, text: 'x' },
  unsupported_encoding: json('{}', { 'content-encoding': 'gzip' }),
};

/** Apps whose assertions are refused for different reasons, and one whose assertions are taken. */
export interface Apps {
  readonly open: AppUnderTest;
  readonly encrypted: AppUnderTest;
  readonly closed: AppUnderTest;
  readonly disabled: AppUnderTest;
  readonly strict: AppUnderTest;
}

/** An assertion for every refusal. */
export const REFUSED: Readonly<Record<string, (apps: Apps, now: number) => string>> = {
  assertion_malformed: () => 'abc',
  assertion_untrusted: ({ open }) => `${open.sign().slice(0, -6)}AAAAAA`,
  jwe_required: ({ encrypted }) => encrypted.sign(),
  claim_missing: ({ open }) => open.sign({ sub: undefined }),
  claim_invalid: ({ open }) => open.sign({ sub: 5 }),
  audience_mismatch: ({ open }) => open.sign({ aud: 'https://elsewhere.example' }),
  expired: ({ open }, now) => open.sign({ exp: now - 60 }),
  not_yet_valid: ({ open }, now) => open.sign({ nbf: now + 60 }),
  lifetime_too_long: ({ open }, now) => open.sign({ jti: undefined, exp: now + 100_000 }),
  jti_lifetime_too_long: ({ open }, now) => open.sign({ exp: now + 4_000 }),
  app_disabled: ({ disabled }) => disabled.sign(),
  anonymous_not_allowed: ({ open }) => open.sign({ isAnonymous: true }),
  user_unknown: ({ closed }) => closed.sign(),
  dpop_proof_missing: ({ strict }) => strict.sign(),
};

/** The body of an exchange, as that operation takes it. */
export const toGrantBody = (id: string, assertion: string): JsonObject =>
  id === 'requestToken' ? { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion } : { assertion };

/** A row's sentence with anything where its values are. */
export function toSentence(code: ErrorCode, isOauth: boolean): RegExp {
  const { msg } = ERRORS[code];
  const text = isOauth ? msg.replaceAll(/["\\]/g, "'") : msg;
  return new RegExp(`^${text.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&').replaceAll(/\{\w+\}/g, '.+')}$`);
}

/** The embedded store, where somebody else changes a document between a read and the write that follows. */
export const openContended: OpenBackend = async (clock) => {
  const { store, end } = await BACKENDS.embedded(clock);
  const { documents } = store;
  const get: typeof documents.get = async (collection, id) => {
    const document = await documents.get(collection, id);
    if (document) await documents.update(collection, id, document.body, document.revision);
    return document;
  };
  return { store: { ...store, documents: { ...documents, get } }, end };
};
