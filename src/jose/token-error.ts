/** A token whose shape is refused. The message says what is wrong and quotes nothing of the token. */
export class TokenError extends Error {
  override readonly name = 'TokenError';
}
