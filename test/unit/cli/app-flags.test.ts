import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { appPatch, appRequest } from '../../../src/apps/schemas.ts';
import { APP_FLAGS, toBody } from '../../../src/cli/app-flags.ts';
import { UsageError } from '../../../src/cli/command.ts';

/** Members that have members. */
const INNER: Readonly<Record<string, readonly string[]>> = {
  jwe: ['required', 'algs', 'encs'],
  merge: ['allowKnown', 'requireProof'],
  idJag: ['issuer'],
};

/** Every member of a registration as a path: `jwe.required`. */
function listMembers(shape: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(shape).flatMap((name) => INNER[name]?.map((inner) => `${name}.${inner}`) ?? [name]);
}

describe('the options of apps', () => {
  it('are the members of POST /admin/apps in kebab case', () => {
    const members = Object.values(APP_FLAGS).map(({ member }) => member);
    assert.deepEqual(members.sort(), listMembers(appRequest.shape).sort());
    for (const [flag, { member }] of Object.entries(APP_FLAGS)) {
      assert.equal(
        flag,
        member.replaceAll('.', '-').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
      );
    }
  });

  it('change what PATCH changes, and the algorithm is none of that', () => {
    const withoutAlgorithm = Object.values(APP_FLAGS)
      .map(({ member }) => member)
      .filter((member) => member !== 'algorithm');
    assert.deepEqual(withoutAlgorithm.sort(), listMembers(appPatch.shape).sort());
  });

  it('become the body', () => {
    const body = toBody(APP_FLAGS, {
      name: 'a',
      'jwe-required': 'true',
      'jwe-encs': ' A256GCM ,A128GCM,',
      'max-lifetime-seconds': '60',
      bots: '',
      enabled: 'false',
    });
    assert.deepEqual(body, {
      name: 'a',
      jwe: { required: true, encs: ['A256GCM', 'A128GCM'] },
      maxLifetimeSeconds: 60,
      bots: [],
      enabled: false,
    });
    assert.deepEqual(toBody(APP_FLAGS, {}), {});
  });

  const WRONG: Readonly<Record<string, string>> = {
    enabled: 'TRUE',
    'enforce-jti': '1',
    'reuse-window-seconds': '-1',
    'clock-tolerance-seconds': '0x10',
    'bearer-lifetime-seconds': '',
    'public-key': '/none/such',
  };
  for (const [name, value] of Object.entries(WRONG)) {
    it(`are refused: --${name} "${value}"`, () => {
      assert.throws(
        () => toBody(APP_FLAGS, { [name]: value }),
        (error) => error instanceof UsageError && error.message.includes(`--${name}`),
      );
    });
  }
});
