import { Router } from 'express';

import { auditQuery, toAuditView } from './audit-schemas.ts';
import { checkShape } from './check.ts';
import type { Routes } from './create-app.ts';
import { allowOnly } from './refusals.ts';
import { sendJson } from './respond.ts';

/** Lines of the audit trail, as the store has them. */
export interface ReadAudit {
  list(options: {
    readonly after?: string;
    readonly limit: number;
    readonly isNewestFirst?: boolean;
  }): Promise<{ readonly id: string; readonly body: string }[]>;
}

/** `/admin/audit`. Behind the guard of everything below `/admin`. */
export function createAuditRoutes({ audit }: { readonly audit: ReadAudit }): Routes {
  const router = Router({ caseSensitive: true });
  router
    .route('/admin/audit')
    .get(async function listAudit(req, res) {
      const { after, limit, newestFirst } = checkShape(auditQuery, req.query);
      const lines = await audit.list({ after, limit, isNewestFirst: newestFirst });
      const next = newestFirst || lines.length < limit ? undefined : lines.at(-1)?.id;
      sendJson(res, 200, { entries: lines.map(toAuditView), ...(next !== undefined && { next }) });
    })
    .all(allowOnly('GET'));
  return [router];
}
