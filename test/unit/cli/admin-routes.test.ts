import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parse } from 'yaml';

import { ADMIN_ROUTES, AUDITED_READS } from '../../../src/cli/admin-routes.ts';
import { createOpenapiYaml } from '../../../scripts/openapi.ts';

describe('the routes of administration', () => {
  const { paths } = parse(createOpenapiYaml()) as { paths: Record<string, object> };
  const described = Object.keys(paths)
    .filter((path) => path.startsWith('/admin/'))
    .map((path) => path.replaceAll(/\{(\w+)\}/g, ':$1'));

  it('are those that are described: each has a name in the audit trail', () => {
    assert.deepEqual(ADMIN_ROUTES.toSorted(), described.toSorted());
  });

  it('come in an order in which a fixed word is found before a name in its place', () => {
    for (const [index, route] of ADMIN_ROUTES.entries()) {
      const shadow = ADMIN_ROUTES.slice(0, index).find((earlier) => isAlike(earlier, route));
      assert.equal(shadow, undefined, route);
    }
  });

  it('include those whose reading is written', () => {
    for (const act of AUDITED_READS) assert.ok(ADMIN_ROUTES.includes(act.replace('GET ', '')), act);
  });
});

/** Whether a path of `route` could be taken for one of `earlier`. */
function isAlike(earlier: string, route: string): boolean {
  const [ours, theirs] = [route.split('/'), earlier.split('/')];
  return (
    ours.length === theirs.length &&
    theirs.every((part, index) => part === ours[index] || (part.startsWith(':') && !ours[index]?.startsWith(':')))
  );
}
