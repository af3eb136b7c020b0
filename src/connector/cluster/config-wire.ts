import { Secret } from '../../core/secret.ts';

/** The member that marks a secret on its way to a worker. */
const MARK = '$secret';

/**
 * A configuration as it goes to a worker. SECURITY: secrets are plain in it, so it may go through the private pipe
 * between primary and worker and nowhere else.
 */
export function toWire(value: unknown): unknown {
  if (value instanceof Secret) return { [MARK]: value.reveal() };
  if (Array.isArray(value)) return value.map(toWire);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, toWire(member)]));
}

/** The configuration that {@link toWire} was given, frozen. */
export function fromWire(value: unknown): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map(fromWire));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const [first] = entries;
  if (entries.length === 1 && first?.[0] === MARK) return new Secret(String(first[1]));
  return Object.freeze(Object.fromEntries(entries.map(([name, member]) => [name, fromWire(member)])));
}
