import { systemClock } from '../core/clock.ts';
import type { AuditEntry } from '../http/audit-entry.ts';
import { createAuditTrail } from '../http/audit-entry.ts';
import type { AuditStore } from '../stores/ports.ts';

/** What an act of a command writes into the audit trail. */
export interface CommandAct {
  /** The operating system's name of whoever runs the command; `unknown` where it is left out. */
  readonly user: string | undefined;
  /** The words of the command. Never a person's name: an option's value does not belong here. */
  readonly act: string;
  /** What it is done to. */
  readonly target?: Readonly<Record<string, string>>;
}

/** Members of a result that name what was made. */
const MADE = ['clientId', 'userId', 'id', 'kid'] as const;

/**
 * Does what a command does straight on the store, in lock step with the audit trail: an entry before it, and one for how it
 * ended. What was done stands although its second entry could not be written.
 * @throws AppError `store_unavailable` where the first entry cannot be written: then nothing is done; and whatever `perform` throws
 */
export async function auditCommandAct<T>(
  audit: AuditStore,
  { user = 'unknown', act, target }: CommandAct,
  perform: () => Promise<T>,
): Promise<T> {
  const trail = createAuditTrail({ append: (body) => audit.append(body), clock: systemClock });
  const known = { who: `user ${user}`, from: 'command line', act, ...(target && { target }) };
  const begun = await trail.record({ ...known, outcome: 'begun' });
  const end = (outcome: AuditEntry['outcome'], made: object = {}): Promise<unknown> =>
    trail.record({ ...known, ...made, outcome, begun }).catch(() => undefined);
  try {
    const result = await perform();
    await end('done', toMade(target, result));
    return result;
  } catch (error) {
    await end('failed');
    throw error;
  }
}

/** What an act was done to, and what it made. */
function toMade(target: CommandAct['target'], result: unknown): Pick<AuditEntry, 'target'> {
  const made = MADE.flatMap((name) => {
    const value = (result as Readonly<Record<string, unknown>> | undefined)?.[name];
    return typeof value === 'string' ? [[name, value] as const] : [];
  });
  const all = { ...target, ...Object.fromEntries(made) };
  return Object.keys(all).length > 0 ? { target: all } : {};
}
