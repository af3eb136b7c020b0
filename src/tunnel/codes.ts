/** Why a stream was cut, on the wire. Only `refused` says that nothing was begun. */
export const RESET_CODES = {
  /** Never begun: it may be sent again, elsewhere. */
  refused: 1,
  /** Who asked does not want it any more. */
  cancelled: 2,
  /** The application refused the connection, or its name is unknown. */
  unreachable: 3,
  /** The application broke off. */
  backend_failed: 4,
  /** The application took too long. */
  timed_out: 5,
  /** Not in the access control. */
  forbidden: 6,
  /** Over a limit of size or number. */
  limit: 7,
  /** A frame that does not fit the stream. */
  protocol: 8,
  /** A fault of this end. */
  internal: 9,
  /** The connection was lost: how far it got is not known. */
  lost: 10,
} as const;
export type ResetCode = keyof typeof RESET_CODES;

/** Why a connection ends, on the wire. */
export const CLOSE_CODES = {
  /** Planned: finish what is open, dial elsewhere. */
  drain: 0,
  /** A frame that breaks the protocol. */
  protocol: 1,
  /** Over a limit of size or number. */
  limit: 2,
  /** The certificate, or the connector, is not known here, or not any more. */
  unauthorized: 3,
  /** Two signs of life were missed. */
  timed_out: 4,
  /** A fault of this end, the store that is away included: try again. */
  unavailable: 5,
} as const;
export type CloseCode = keyof typeof CLOSE_CODES;

const toNames = <Code extends string>(codes: Readonly<Record<Code, number>>): ReadonlyMap<number, Code> =>
  new Map(Object.entries<number>(codes).map(([name, code]) => [code, name as Code]));

const RESET_NAMES = toNames(RESET_CODES);
const CLOSE_NAMES = toNames(CLOSE_CODES);

/** The name of a code from the wire; what is not known here was a fault of the other end. */
export const toResetCode = (code: number): ResetCode => RESET_NAMES.get(code) ?? 'internal';
export const toCloseCode = (code: number): CloseCode => CLOSE_NAMES.get(code) ?? 'unavailable';
