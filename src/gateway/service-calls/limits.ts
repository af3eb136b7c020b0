/** The JSON of a service call with the body inside, in bytes. Larger bodies are streamed. */
export const MAX_CALL_BYTES = 1_048_576;
/** `x-service-call`, which says where a streamed body goes, in characters of base64url. */
export const MAX_CALL_HEADER_LENGTH = 12_288;
/** The body of a service's answer that is handed over inside JSON, in bytes. Larger ones are streamed. */
export const MAX_ANSWER_BYTES = 1_048_576;
/** All header fields of a service's answer together, in bytes. */
export const MAX_ANSWER_HEADER_BYTES = 8_192;
/** Header fields of one service call. */
export const MAX_CALL_FIELDS = 100;
/** The longest value of a header field of a service call, in characters. */
export const MAX_FIELD_LENGTH = 8_192;
/** Service calls under way in one process. */
export const MAX_CALLS = 256;
/** The same for one caller, so that one alone cannot keep the others from theirs. */
export const MAX_CALLS_PER_CALLER = 64;
/** Redirects that one call follows. */
export const MAX_REDIRECTS = 5;
/** Until a connection to a service stands, its name looked up and TLS agreed on, in milliseconds. */
export const CONNECT_TIMEOUT_MS = 10_000;
/** From the end of the request to the header fields of the answer, in milliseconds. */
export const ANSWER_TIMEOUT_MS = 60_000;
/** How long nothing may move on a connection to a service, in milliseconds. */
export const IDLE_TIMEOUT_MS = 60_000;
/** A whole service call, in milliseconds. */
export const CALL_TIMEOUT_MS = 900_000;

/** The limits in time of a service call, in milliseconds. */
export interface CallLimits {
  readonly connectMs: number;
  readonly answerMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
}

export const CALL_LIMITS: CallLimits = {
  connectMs: CONNECT_TIMEOUT_MS,
  answerMs: ANSWER_TIMEOUT_MS,
  idleMs: IDLE_TIMEOUT_MS,
  totalMs: CALL_TIMEOUT_MS,
};
