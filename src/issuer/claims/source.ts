import type { JsonObject } from '../../core/json.ts';

/**
 * The private claims of a known user, from the customer's side. @returns undefined where there are none
 * @throws AppError `upstream_unavailable`, `claims_too_large`
 */
export type ClaimsSource = (identity: string) => Promise<JsonObject | undefined>;
