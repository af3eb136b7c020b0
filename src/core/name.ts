// A lone surrogate has no UTF-8: two names that differ in one alone would become the same bytes.
const UNFIT = /\p{Control}|\p{Surrogate}/u;

/** Whether a text has characters that no name of a person or a token may have: control characters, lone surrogates. */
export function isUnfitForName(text: string): boolean {
  return UNFIT.test(text);
}
