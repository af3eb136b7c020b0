import { randomUUID } from 'node:crypto';

import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { DocumentStore } from '../stores/ports.ts';
import { type Authority, RENEWED_LIFETIME_DAYS, type SignedCertificate } from './certificates/authority.ts';
import { addCertificate, revokeCertificate } from './connector-certificates.ts';
import {
  isCertificateValid,
  isCompanyId,
  parseCompany,
  parseConnector,
  type StoredCompany,
  type StoredConnector,
  toCompanyId,
  toConnector,
  toConnectors,
} from './connector-documents.ts';
import type { Connector } from './connector.ts';
import type { ConnectorPatch, ConnectorRequest } from './schemas.ts';

/** How often a change is tried anew because somebody else changed the same meanwhile. */
export const MAX_CHANGE_ATTEMPTS = 50;

/** A certificate that was just signed, and the authority's, both PEM. */
export interface Certified extends SignedCertificate {
  readonly ca: string;
}

/** Registration of connectors. Every method but `create` and `list` throws AppError `connector_not_found`. */
export interface ConnectorRegistry {
  /** @throws AppError `connector_limit` where the company has as many as it may */
  create(request: ConnectorRequest): Promise<Connector>;
  list(): Promise<Connector[]>;
  get(id: string): Promise<Connector>;
  /** @throws AppError `connector_conflict` when somebody else changed it meanwhile */
  update(id: string, patch: ConnectorPatch): Promise<Connector>;
  /** Enables a connector, and so disables the others of its company. */
  enable(id: string): Promise<Connector>;
  disable(id: string): Promise<Connector>;
  /** Deletes a connector: none of its certificates is accepted any more. */
  remove(id: string): Promise<void>;
  /** Signs a pasted request. @throws AppError `invalid_request`, `certificate_limit` */
  addCertificate(id: string, csr: string): Promise<Certified>;
  /**
   * Signs a request that came over the tunnel, from who showed the certificate `serial`. That one stays valid.
   * @throws AppError `invalid_request`, `certificate_limit`, `credential_invalid` where `serial` is not valid (any more)
   */
  renewCertificate(id: string, serial: string, csr: string): Promise<Certified>;
  /** Revokes a certificate and those renewed from it. @throws AppError `certificate_not_found` */
  revokeCertificate(id: string, serial: string): Promise<Connector>;
}

export interface ConnectorRegistryDeps {
  readonly documents: DocumentStore;
  readonly authority: () => Promise<Authority>;
  readonly clock: Clock;
  readonly connectorsPerCompany: number;
  readonly onProblem: (detail: string) => void;
}

type Change<T> = (stored: T) => T;

export function createConnectorRegistry(deps: ConnectorRegistryDeps): ConnectorRegistry {
  const { documents, authority, clock, connectorsPerCompany, onProblem } = deps;
  const notFound = (): AppError => new AppError('connector_not_found');

  const readDocument = async (id: string): Promise<{ stored: StoredConnector; revision: number }> => {
    const document = isCompanyId(id) ? undefined : await documents.get('connectors', id);
    if (document === undefined) throw notFound();
    return { stored: parseConnector(document), revision: document.revision };
  };
  const readCompany = async (company: string): Promise<{ stored: StoredCompany; revision: number }> => {
    const document = await documents.get('connectors', toCompanyId(company));
    if (document === undefined) return { stored: { company, connectors: [] }, revision: 0 };
    return { stored: parseCompany(document), revision: document.revision };
  };
  const get = async (id: string): Promise<Connector> => {
    const { stored } = await readDocument(id);
    // The company is read last: a connector that was deleted between the two is not found.
    const { stored: company } = await readCompany(stored.company);
    if (!company.connectors.includes(id)) throw notFound();
    return toConnector(id, stored, company);
  };

  const retry = async (attempt: () => Promise<boolean>): Promise<void> => {
    for (let count = 0; count < MAX_CHANGE_ATTEMPTS; count++) if (await attempt()) return;
    throw new AppError('connector_conflict');
  };
  const changeCompany = (company: string, change: Change<StoredCompany>): Promise<void> =>
    retry(async () => {
      const { stored, revision } = await readCompany(company);
      const changed = change(stored);
      if (changed === stored) return true;
      const body = JSON.stringify(changed);
      return revision === 0
        ? documents.insert('connectors', toCompanyId(company), body)
        : documents.update('connectors', toCompanyId(company), body, revision);
    });
  const changeConnector = (id: string, change: Change<StoredConnector>): Promise<void> =>
    retry(async () => {
      const { stored, revision } = await readDocument(id);
      return documents.update('connectors', id, JSON.stringify(change(stored)), revision);
    });
  const changeMembership = async (id: string, change: Change<StoredCompany>): Promise<void> => {
    const { company } = await get(id);
    await changeCompany(company, (stored) => {
      if (!stored.connectors.includes(id)) throw notFound();
      return change(stored);
    });
  };
  const withMember =
    (id: string): Change<StoredCompany> =>
    (company) => {
      if (company.connectors.length >= connectorsPerCompany) {
        throw new AppError('connector_limit', { values: { limit: connectorsPerCompany } });
      }
      return { ...company, connectors: [...company.connectors, id] };
    };

  const certify = async (id: string, csr: string, from?: string): Promise<Certified> => {
    const { company } = await get(id);
    const { caPem: ca, sign } = await authority();
    const lifetime = from === undefined ? {} : { lifetimeDays: RENEWED_LIFETIME_DAYS };
    const signed = await sign(csr, { connectorId: id, company, ...lifetime });
    const { certificate: _, ...issued } = signed;
    const added = { ...issued, ...(from !== undefined && { renewedFrom: from }) };
    await changeConnector(id, (stored) => {
      const now = clock.nowSeconds();
      // SECURITY: judged at the very write, so that no renewal slips past a revocation.
      if (from !== undefined && !isCertificateValid(stored, from, now)) throw new AppError('credential_invalid');
      return { ...stored, updatedAt: now, certificates: addCertificate(stored.certificates, added, now) };
    });
    return { ...signed, ca };
  };

  return {
    create: async (request) => {
      const id = `cn-${randomUUID()}`;
      const now = clock.nowSeconds();
      const stored: StoredConnector = { ...request, createdAt: now, updatedAt: now, certificates: [] };
      const join = withMember(id);
      join((await readCompany(request.company)).stored);
      // It is there once its company lists it: whatever is cut off before that leaves nothing that counts.
      if (!(await documents.insert('connectors', id, JSON.stringify(stored)))) throw new AppError('connector_conflict');
      try {
        await changeCompany(request.company, join);
      } catch (error) {
        await documents.remove('connectors', id);
        throw error;
      }
      return get(id);
    },
    list: async () => toConnectors(await documents.list('connectors'), onProblem),
    get,
    update: async (id, patch) => {
      await get(id);
      const { stored, revision } = await readDocument(id);
      const body = JSON.stringify({ ...stored, ...patch, updatedAt: clock.nowSeconds() });
      if (!(await documents.update('connectors', id, body, revision))) throw new AppError('connector_conflict');
      return get(id);
    },
    enable: async (id) => {
      await changeMembership(id, (company) => (company.enabledId === id ? company : { ...company, enabledId: id }));
      return get(id);
    },
    disable: async (id) => {
      await changeMembership(id, (company) => (company.enabledId === id ? withoutEnabled(company) : company));
      return get(id);
    },
    remove: async (id) => {
      await changeMembership(id, (company) => ({
        ...(company.enabledId === id ? withoutEnabled(company) : company),
        connectors: company.connectors.filter((other) => other !== id),
      }));
      await documents.remove('connectors', id);
    },
    addCertificate: (id, csr) => certify(id, csr),
    renewCertificate: async (id, serial, csr) => {
      const from = serial.toLowerCase();
      // Before the costly signature, too.
      if (!isCertificateValid(await get(id), from, clock.nowSeconds())) throw new AppError('credential_invalid');
      return certify(id, csr, from);
    },
    revokeCertificate: async (id, serial) => {
      await get(id);
      await changeConnector(id, (stored) => {
        const now = clock.nowSeconds();
        const certificates = revokeCertificate(stored.certificates, serial.toLowerCase(), now);
        return { ...stored, updatedAt: now, certificates };
      });
      return get(id);
    },
  };
}

function withoutEnabled({ enabledId: _, ...company }: StoredCompany): StoredCompany {
  return company;
}
