import { z } from 'zod';

import { appView } from '../apps/schemas.ts';
import { MAX_TOKEN_BYTES, MILLISECONDS_FROM } from '../jose/limits.ts';

// The year 5138; nobody asks about later, and milliseconds are a mistake.
const LAST_SECOND = MILLISECONDS_FROM;

const check = z.strictObject({
  check: z.string().meta({ description: 'What was asked: a step of the verification, or a claim.', example: 'exp' }),
  verdict: z.enum(['ok', 'refused', 'not asked']),
  says: z.string().meta({ description: 'What is there, or why it is refused.', example: '"exp" is 42 s ago' }),
  failure: z.string().optional().meta({ description: 'The row of docs/errors.md.', example: 'expired' }),
});

/** The settings of an app that decide what becomes of a token. */
const settings = appView.pick({
  name: true,
  algorithm: true,
  enabled: true,
  audiences: true,
  enforceJti: true,
  allowAnonymous: true,
  autoRegister: true,
  jwe: true,
  clockToleranceSeconds: true,
  maxLifetimeSeconds: true,
  reuseWindowSeconds: true,
  idJag: true,
});

/** What `POST /admin/explain` takes. */
export const explainRequest = z
  .strictObject({
    token: z.string().min(1).max(MAX_TOKEN_BYTES).meta({ description: 'The assertion. It is not used up.' }),
    app: z.string().optional().meta({ description: 'The client id of the app that the token is meant for.' }),
    at: z
      .number()
      .min(0)
      .max(LAST_SECOND)
      .optional()
      .meta({ description: 'As if it were that time, in seconds since the epoch.' }),
  })
  .meta({ id: 'ExplainRequest', description: 'A token to explain.' });

/** What would become of a token. */
export const explanation = z
  .strictObject({
    isAccepted: z.boolean().meta({ description: 'Whether it would be exchanged, but for what was not asked.' }),
    at: z.iso.datetime().meta({ description: 'The time that it was held against.' }),
    answer: z
      .strictObject({ status: z.int(), msg: z.string(), failure: z.string(), detail: z.string().optional() })
      .optional()
      .meta({ description: 'What a client would be told, and what the log would say. Absent where it is accepted.' }),
    checks: z.array(check).meta({ description: 'In the order of the verification; the first refusal is the answer.' }),
    otherMembers: z.array(z.string()).meta({ description: 'Names of claims that nothing looks at.' }),
    clientId: z.string().optional(),
    settings: settings.optional(),
  })
  .meta({ id: 'Explanation', description: 'What would become of a token, check by check.' });

export type Explanation = z.output<typeof explanation>;
export type ExplainedCheck = Explanation['checks'][number];

/** The settings of an app that an explanation shows. */
export function toSettings(app: z.output<typeof settings>): z.output<typeof settings> {
  return settings.strip().parse(app);
}
