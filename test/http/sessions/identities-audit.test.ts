import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { until } from '../../contract/attempts.ts';
import { BACKENDS, startIdproxyUnderTest } from '../../support/idproxy-under-test.ts';

const SUBJECT = 'alice.with.a.name@example.com';

interface Entry {
  readonly act: string;
  readonly who: string;
  readonly target?: Readonly<Record<string, string>>;
  readonly outcome: string;
  readonly status?: number;
}

for (const [name, open] of Object.entries(BACKENDS)) {
  describe(`the stored audit trail of users, on ${name}`, () => {
    it('has every act on a user, listing and erasing among them, what it was about and how it ended; never a name', async (t) => {
      const idproxy = await startIdproxyUnderTest(open);
      t.after(() => idproxy.close());
      const { clientId } = await idproxy.register({});
      const registered = await idproxy.admin('POST', '/admin/identities', { clientId, subject: SUBJECT });
      const userId: string = registered.body.userId;
      const done = [
        await idproxy.admin('GET', `/admin/identities?clientId=${clientId}`),
        await idproxy.admin('POST', '/admin/identities/look-up', { clientId, subject: SUBJECT }),
        await idproxy.admin('GET', `/admin/identities/${userId}`),
        await idproxy.admin('GET', `/admin/identities/${userId}/export`),
        await idproxy.admin('DELETE', `/admin/identities/${userId}`),
        await idproxy.admin('DELETE', `/admin/identities/${userId}`),
      ];
      assert.deepEqual(
        done.map(({ status }) => status),
        [200, 200, 200, 200, 204, 404],
      );
      let entries: Entry[] = [];
      await until(async () => {
        const { body } = await idproxy.admin('GET', '/admin/audit?limit=1000');
        entries = (body.entries as Entry[]).filter(({ act }) => act.includes('/admin/identities'));
        return entries.filter(({ outcome }) => outcome !== 'begun').length >= 7;
      }, 'seven ended acts');
      const ended = entries.filter(({ outcome }) => outcome !== 'begun');
      const one = { userId };
      assert.deepEqual(
        ended.map(({ act, who, target, outcome, status }) => [act, who, target, outcome, status]),
        [
          ['POST /admin/identities', 'admin', one, 'done', 201],
          ['GET /admin/identities', 'admin', undefined, 'done', 200],
          ['POST /admin/identities/look-up', 'admin', undefined, 'done', 200],
          ['GET /admin/identities/:userId', 'admin', one, 'done', 200],
          ['GET /admin/identities/:userId/export', 'admin', one, 'done', 200],
          ['DELETE /admin/identities/:userId', 'admin', one, 'done', 204],
          ['DELETE /admin/identities/:userId', 'admin', one, 'failed', 404],
        ],
      );
      assert.ok(!JSON.stringify(await idproxy.admin('GET', '/admin/audit?limit=1000')).includes('alice'));
    });
  });
}
