import type { Clock } from '../core/clock.ts';
import { toIsoDate } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';

/** The longest text in an entry, in characters. */
export const MAX_AUDIT_TEXT_LENGTH = 256;

/**
 * What is known of an act: it is about to be done, it was done, it failed, a credential was refused, or nobody waited for its
 * answer.
 */
export const AUDIT_OUTCOMES = ['begun', 'done', 'failed', 'refused', 'abandoned'] as const;
export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number];

/** Who did what from where. Never a body, never a secret, never a person's name. */
export interface AuditEntry {
  /** When, in ISO 8601. */
  readonly at: string;
  /** The credential that was used: `admin`, `user <name>` of the operating system, `countersign` itself, `nobody`. */
  readonly who: string;
  /** An address, or `command line`. */
  readonly from: string;
  /** A method and a route, or the words of a command. */
  readonly act: string;
  /** What it was done to, by name. */
  readonly target?: Readonly<Record<string, string>>;
  readonly requestId?: string;
  readonly outcome: AuditOutcome;
  /** The HTTP status. */
  readonly status?: number;
  /** The id of the line with which the act began. */
  readonly begun?: string;
  /** How many things of its kind this entry stands for. */
  readonly count?: number;
}

/** Writes entries to the audit trail. */
export interface AuditTrail {
  /**
   * Keeps an entry; resolves when it is kept. @returns its id
   * @throws AppError `store_unavailable` where it is not known to be kept: then nothing may be done
   */
  record(entry: Omit<AuditEntry, 'at'>): Promise<string>;
}

export interface AuditTrailDeps {
  /** Keeps one line. @returns its id */
  readonly append: (body: string) => Promise<string>;
  readonly clock: Clock;
}

export function createAuditTrail({ append, clock }: AuditTrailDeps): AuditTrail {
  return {
    record: async ({ target, ...entry }) => {
      const at = toIsoDate(clock.nowSeconds());
      const texts = target && Object.entries(target).map(([name, text]) => [name, cut(text)]);
      const line = { at, ...entry, act: cut(entry.act), ...(texts && { target: Object.fromEntries(texts) as object }) };
      try {
        return await append(JSON.stringify(line));
      } catch (cause) {
        throw new AppError('store_unavailable', { detail: 'the audit trail cannot be written', cause });
      }
    },
  };
}

const cut = (text: string): string => text.slice(0, MAX_AUDIT_TEXT_LENGTH);
