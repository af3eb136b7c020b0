import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { DocumentStore } from '../stores/ports.ts';
import { isCertificateValid, toConnectors } from './connector-documents.ts';
import type { Connector } from './connector.ts';
import { createWatchedCopy } from './watched-copy.ts';

/** All connectors in a gateway's memory, as fresh as the store's publications. */
export interface ConnectorDirectory {
  /** @returns undefined where there is none. @throws AppError `store_unavailable` where the copy is too old to be relied on */
  findConnector(id: string): Connector | undefined;
  /** The ids of those that are enabled. @throws as {@link findConnector} does */
  listEnabled(): readonly string[];
  /**
   * Whether a connector may show this certificate, asked of the store itself. What is known afterwards is no older:
   * whoever keeps a connection open on the strength of it looks at {@link isAuthorized} on every change.
   * @throws AppError `connector_not_found`, `credential_invalid`, `store_unavailable`
   */
  authorize(id: string, serial: string): Promise<Connector>;
  /** The same of what is in memory, for connections that are open. @throws as {@link findConnector} does */
  isAuthorized(id: string, serial: string): boolean;
  /** For a connector that is not there, or disabled: that may have changed a moment ago. Never throws. */
  refreshOnMiss(): Promise<void>;
  /** Calls `listener` soon after any connector changed. @returns a function that ends it */
  onChange(listener: () => void): () => void;
  close(): void;
}

export interface DirectoryDeps {
  readonly documents: DocumentStore;
  readonly clock: Clock;
  readonly onProblem: (detail: string) => void;
}

interface Copy {
  readonly byId: ReadonlyMap<string, Connector>;
  readonly enabled: readonly string[];
}

function toCopy(connectors: readonly Connector[]): Copy {
  return {
    byId: new Map(connectors.map((connector) => [connector.id, connector])),
    enabled: connectors.filter(({ enabled }) => enabled).map(({ id }) => id),
  };
}

export function createConnectorDirectory({ documents, clock, onProblem }: DirectoryDeps): ConnectorDirectory {
  const copy = createWatchedCopy<Copy>({
    documents,
    collection: 'connectors',
    toCopy: (found) => toCopy(toConnectors(found, onProblem)),
    clock,
    onProblem,
  });
  return {
    findConnector: (id) => copy.current().byId.get(id),
    listEnabled: () => copy.current().enabled,
    authorize: async (id, serial) => {
      const connector = (await copy.refresh()).byId.get(id);
      if (connector === undefined) throw new AppError('connector_not_found');
      if (!isCertificateValid(connector, serial, clock.nowSeconds())) throw new AppError('credential_invalid');
      return connector;
    },
    isAuthorized: (id, serial) => {
      const connector = copy.current().byId.get(id);
      return connector !== undefined && isCertificateValid(connector, serial, clock.nowSeconds());
    },
    refreshOnMiss: copy.refreshOnMiss,
    onChange: copy.onChange,
    close: copy.close,
  };
}
