import type { Request, RequestHandler, Response } from 'express';

import { toAppError } from '../core/errors.ts';
import { type Logger, readFailure, toLoggedPath } from './access-log.ts';
import type { AuditEntry, AuditTrail } from './audit-entry.ts';
import { createWindowCounter } from './window-counter.ts';

/** Refused credentials of one hour that have an entry each, below `/admin` and elsewhere apart; further ones share one entry for each minute. */
export const MAX_REFUSAL_ENTRIES_PER_HOUR = 60;
const WINDOW_MS = 3_600_000;
/** From the first refusal that has no entry of its own to the entry that says how many there were, in milliseconds. */
const SHARED_AFTER_MS = 60_000;

/** Methods that change nothing. */
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Failures that say that the credential was not taken. */
const REFUSED: ReadonlySet<string> = new Set(['credential_missing', 'credential_invalid']);

/** For routes that others than the admin may use, too: they say themselves when it is the admin. */
export interface AdminActs {
  /**
   * Before the admin's act is done. @returns whether somebody still waits for it; else it must not be done
   * @throws AppError `store_unavailable` where it cannot be written: then nothing may be done
   */
  begin(req: Request, res: Response, target?: AuditEntry['target']): Promise<boolean>;
  /** Where a credential was shown that is about to be refused. */
  refuse(req: Request, res: Response): void;
}

/** Writes the audit trail of the routes below one path, and of the acts of the admin elsewhere. */
export interface AuditedActs extends AdminActs {
  /** Stands before the check of the credential: what that refuses has an entry. */
  readonly recordRefusals: RequestHandler;
  /** Stands behind the check of the credential, before every route. */
  readonly recordActs: RequestHandler;
  /** Writes what is left to be written. */
  close(): Promise<void>;
}

export interface AuditedActsDeps {
  readonly trail: AuditTrail;
  readonly logger: Logger;
  /** Paths of the routes, `/admin/apps/:clientId`; of two that fit, the first one is meant. */
  readonly routes: readonly string[];
  /** Reading acts that have an entry all the same, `GET /admin/…`. */
  readonly readingActs: ReadonlySet<string>;
  /** What a name in a route must look like to be written; instead of anything else {@link WITHHELD} is. */
  readonly nameForms?: Readonly<Record<string, RegExp>>;
  readonly monotonicMs?: () => number;
}

/** Stands for a name in a path that is not of its form: whoever mistakes the id of a person may write the person's name. */
const WITHHELD = '[no id]';

type Act = Pick<AuditEntry, 'from' | 'act' | 'target' | 'requestId'>;

/**
 * The lock-step audit of administration: the entry is kept before the act is begun, and nothing is done that has none.
 * How it ended is a second entry, which the answer does not wait for.
 */
export function createAuditedActs({
  trail,
  logger,
  routes,
  readingActs,
  nameForms = {},
  ...deps
}: AuditedActsDeps): AuditedActs {
  const patterns = routes.map((route) => ({ route, parts: route.split('/') }));
  const refusals = createWindowCounter({ windowMs: WINDOW_MS, ...deps });
  const pending = new Set<Promise<unknown>>();
  let unwritten = 0;
  let timer: NodeJS.Timeout | undefined;

  const recordLater = (entry: Omit<AuditEntry, 'at'>): void => {
    const recorded = trail.record(entry).catch((error: unknown) => {
      const { detail, cause } = toAppError(error);
      logger.error({ entry, detail, cause: cause instanceof Error ? cause.message : undefined }, 'audit entry lost');
    });
    pending.add(recorded);
    void recorded.finally(() => pending.delete(recorded));
  };

  const recordRest = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const count = unwritten;
    unwritten = 0;
    if (count > 0) recordLater({ who: 'nobody', from: 'several', act: 'any', outcome: 'refused', count });
  };

  const toAct = (req: Request): Act => {
    // SECURITY: the path as the router reads it, not as it was written: `/admin\identities#` leads to the same route.
    const path = toLoggedPath(req.baseUrl + req.path);
    const { route = path, target } = findRoute(patterns, nameForms, path);
    const requestId = (req as { id?: unknown }).id;
    return {
      from: req.ip ?? 'unknown',
      act: `${req.method} ${route}`,
      ...(target && { target }),
      ...(typeof requestId === 'string' && { requestId }),
    };
  };

  /** What was made, by the `Location` of the answer. */
  const toMade = (res: Response): Pick<AuditEntry, 'target'> => {
    const location = res.getHeader('location');
    const { target } = typeof location === 'string' ? findRoute(patterns, nameForms, location) : {};
    return target === undefined ? {} : { target };
  };

  const watchRefusal = (req: Request, res: Response, place: 'admin' | 'elsewhere'): void => {
    const act = toAct(req);
    res.once('close', () => {
      if (!REFUSED.has(readFailure(res)?.code ?? '')) return;
      // SECURITY: whoever floods must not fill the trail, which is kept for long, and must not go unmentioned.
      if (refusals.add(place) <= MAX_REFUSAL_ENTRIES_PER_HOUR) {
        recordLater({ who: 'nobody', ...act, outcome: 'refused', status: res.statusCode });
        return;
      }
      unwritten += 1;
      timer ??= setTimeout(recordRest, SHARED_AFTER_MS).unref();
    });
  };

  const begin = async (act: Act, res: Response): Promise<boolean> => {
    // SECURITY: before anything is done. Where it cannot be written, this throws, and nothing is done.
    const begun = await trail.record({ who: 'admin', ...act, outcome: 'begun' });
    const end = (): void => recordLater({ who: 'admin', ...act, ...toMade(res), ...toOutcome(res), begun });
    if (res.closed) {
      // Gone before anything was done, and nobody will say so again.
      end();
      return false;
    }
    res.once('close', end);
    return true;
  };

  return {
    begin: (req, res, target) => begin({ ...toAct(req), ...(target && { target }) }, res),
    refuse: (req, res) => watchRefusal(req, res, 'elsewhere'),
    recordRefusals: function recordRefusals(req, res, next) {
      watchRefusal(req, res, 'admin');
      next();
    },
    recordActs: async function recordActs(req, res, next) {
      const act = toAct(req);
      if (READING.has(req.method) && !readingActs.has(act.act)) {
        next();
        return;
      }
      if (await begin(act, res)) next();
    },
    close: async () => {
      recordRest();
      await Promise.all(pending);
    },
  };
}

function toOutcome(res: Response): Pick<AuditEntry, 'outcome' | 'status'> {
  // Whoever asked went away before the answer: the act may still have been done.
  if (!res.writableFinished) return { outcome: 'abandoned' };
  return { outcome: res.statusCode < 400 ? 'done' : 'failed', status: res.statusCode };
}

function findRoute(
  patterns: readonly { readonly route: string; readonly parts: readonly string[] }[],
  nameForms: Readonly<Record<string, RegExp>>,
  path: string,
): { route?: string; target?: Record<string, string> } {
  // Express takes a path with a slash at its end for the same.
  const parts = path.replace(/\/$/, '').split('/');
  const pattern = patterns.find(
    (one) =>
      one.parts.length === parts.length &&
      one.parts.every((part, index) => part === parts[index] || (part.startsWith(':') && parts[index] !== '')),
  );
  if (pattern === undefined) return {};
  const names = pattern.parts.flatMap((part, index) => {
    if (!part.startsWith(':')) return [];
    const [name, text = ''] = [part.slice(1), parts[index]];
    return [[name, nameForms[name]?.test(text) === false ? WITHHELD : text]];
  });
  return {
    route: pattern.route,
    ...(names.length > 0 && { target: Object.fromEntries(names) as Record<string, string> }),
  };
}
