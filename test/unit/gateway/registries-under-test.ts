import type { TestContext } from 'node:test';

import type { Authority } from '../../../src/gateway/certificates/authority.ts';
import { createAuthority } from '../../../src/gateway/certificates/authority.ts';
import { type CallerRegistry, createCallerRegistry } from '../../../src/gateway/caller-registry.ts';
import { type ConnectorRegistry, createConnectorRegistry } from '../../../src/gateway/connector-registry.ts';
import { connectorRequest } from '../../../src/gateway/schemas.ts';
import type { Connector } from '../../../src/gateway/connector.ts';
import type { DocumentStore } from '../../../src/stores/ports.ts';
import { waitUntilReady } from '../../../src/stores/wait-until-ready.ts';
import { createVault } from '../../../src/vault/vault.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { BACKENDS } from '../../support/idproxy-under-test.ts';

export const NOW = 1_800_000_000;

/** Registries over a real store, with a clock that the test sets. */
export interface RegistriesUnderTest {
  readonly documents: DocumentStore;
  readonly clock: FakeClock;
  readonly authority: () => Promise<Authority>;
  readonly connectors: ConnectorRegistry;
  readonly callers: CallerRegistry;
  readonly problems: readonly string[];
  /** Another process on the same store, through `documents` where they are given. */
  readonly again: (documents?: DocumentStore) => ConnectorRegistry;
  readonly create: (request?: object) => Promise<Connector>;
}

export async function startRegistries(
  t: TestContext,
  {
    backend = 'embedded',
    connectorsPerCompany = 2,
  }: { backend?: keyof typeof BACKENDS; connectorsPerCompany?: number } = {},
): Promise<RegistriesUnderTest> {
  const clock = createFakeClock(NOW);
  const { store, end } = await BACKENDS[backend](clock);
  t.after(async () => {
    await store.close();
    await end();
  });
  await waitUntilReady(store, 5_000);
  const problems: string[] = [];
  const onProblem = (detail: string): void => void problems.push(detail);
  const vault = createVault(Buffer.alloc(32, 5));
  const authority = createAuthority({ documents: store.documents, vault, clock });
  const again = (documents = store.documents): ConnectorRegistry =>
    createConnectorRegistry({ documents, authority, clock, connectorsPerCompany, onProblem });
  const connectors = again();
  return {
    documents: store.documents,
    clock,
    authority,
    connectors,
    callers: createCallerRegistry({ documents: store.documents, connectors, clock }),
    problems,
    again,
    create: (request = {}) => connectors.create(connectorRequest.parse(request)),
  };
}
