import type { Request, Response } from 'express';

import { AppError } from '../../core/errors.ts';
import type { AdminActs } from '../../http/audit-acts.ts';

/** @throws AppError `credential_missing`, `credential_invalid`; where one was shown, that is in the audit trail */
export function refuseCaller(req: Request, res: Response, adminActs: AdminActs): never {
  if (req.headers.authorization === undefined) throw new AppError('credential_missing');
  adminActs.refuse(req, res);
  throw new AppError('credential_invalid');
}
