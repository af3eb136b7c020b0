import { AppError } from '../core/errors.ts';
import type { AuditStore } from './ports.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { WriteWithCopies } from './redis-copies.ts';
import { AUDIT_KEY } from './redis-keys.ts';

export interface RedisAuditDeps {
  readonly connection: RedisConnection;
  readonly write: WriteWithCopies;
}

/** The name of a line's one field. */
const FIELD = 'b';
/** A stream's id: milliseconds, and a number among those of one millisecond. */
const ID = /^\d{1,15}-\d{1,15}$/;

/** The audit trail in Redis: a stream, whose lines no command changes; old ones are trimmed by their time. */
export function createRedisAudit({ connection, write }: RedisAuditDeps): AuditStore {
  return {
    append: async (body) => {
      const id = await write((client) => client.xadd(AUDIT_KEY, '*', FIELD, body));
      if (id === null) throw new AppError('store_unavailable', { detail: 'redis gave an unknown answer' });
      return id;
    },
    list: async ({ after = '', limit, isNewestFirst = false }) => {
      if (after !== '' && !ID.test(after)) {
        throw new AppError('invalid_request', { values: { detail: '"after" is not the id of a line' } });
      }
      const from = after === '' ? '-' : `(${after}`;
      const lines = await connection.call((client) =>
        isNewestFirst
          ? client.xrevrange(AUDIT_KEY, '+', from, 'COUNT', limit)
          : client.xrange(AUDIT_KEY, from, '+', 'COUNT', limit),
      );
      return lines.map(([id, [, body = '']]) => ({ id, body }));
    },
    expire: (beforeMs) =>
      connection.call((client) => client.xtrim(AUDIT_KEY, 'MINID', Math.max(0, Math.floor(beforeMs)))),
  };
}
