import { z } from 'zod';

import { AppError } from '../core/errors.ts';
import { sha256Hex } from '../core/secret.ts';
import type { StoredDocument } from '../stores/ports.ts';
import type { Connector, IssuedCertificate } from './connector.ts';

/** Ids of documents in the collection `connectors` that hold a company; all others hold a connector. */
const COMPANY_PREFIX = 'company:';

const storedCertificate = z.strictObject({
  serial: z.string(),
  issuedAt: z.number(),
  expiresAt: z.number(),
  revokedAt: z.number().optional(),
  renewedFrom: z.string().optional(),
});

const storedConnector = z.strictObject({
  name: z.string(),
  description: z.string(),
  company: z.string(),
  createdAt: z.number(),
  updatedAt: z.number(),
  certificates: z.array(storedCertificate),
});

/**
 * What must change as one: which connectors a company has, and which of them is enabled. A connector that is not
 * listed here is none.
 */
const storedCompany = z.strictObject({
  company: z.string(),
  connectors: z.array(z.string()),
  enabledId: z.string().optional(),
});

/** A certificate as it is kept. */
export interface StoredCertificate extends IssuedCertificate {
  /** The serial that asked for it over the tunnel. */
  readonly renewedFrom?: string;
}
export interface StoredConnector extends Omit<z.output<typeof storedConnector>, 'certificates'> {
  readonly certificates: readonly StoredCertificate[];
}
export type StoredCompany = z.output<typeof storedCompany>;

/** The id of a company's document, whatever characters its name has. */
export const toCompanyId = (company: string): string => COMPANY_PREFIX + sha256Hex(company);

/** Whether an id names a company's document: no connector is ever looked up by one. */
export const isCompanyId = (id: string): boolean => id.startsWith(COMPANY_PREFIX);

function parseStored<S extends z.ZodType>(schema: S, { id, body }: StoredDocument): z.output<S> {
  try {
    return schema.parse(JSON.parse(body));
  } catch (error) {
    throw new AppError('internal', { detail: `the stored connector ${id} cannot be read`, cause: error });
  }
}

/** @throws AppError `internal` when the store holds something else */
export const parseConnector = (document: StoredDocument): StoredConnector =>
  parseStored(storedConnector, document) as StoredConnector;
/** @throws AppError `internal` when the store holds something else */
export const parseCompany = (document: StoredDocument): StoredCompany => parseStored(storedCompany, document);

/** A stored connector as others see it; `company` says whether it is enabled. */
export function toConnector(id: string, stored: StoredConnector, { enabledId }: StoredCompany): Connector {
  return { ...stored, id, enabled: enabledId === id };
}

/** All connectors of one look at the collection, oldest first. One that cannot be read must not take the others with it. */
export function toConnectors(documents: readonly StoredDocument[], onProblem: (detail: string) => void): Connector[] {
  const read = <T>(document: StoredDocument, parse: (document: StoredDocument) => T): T | undefined => {
    try {
      return parse(document);
    } catch (error) {
      onProblem(error instanceof AppError && error.detail !== undefined ? error.detail : 'a document cannot be read');
      return undefined;
    }
  };
  const byId = new Map(documents.map((document) => [document.id, document]));
  return documents
    .filter(({ id }) => isCompanyId(id))
    .map((document) => read(document, parseCompany))
    .flatMap((company) =>
      (company?.connectors ?? []).flatMap((id) => {
        const document = byId.get(id);
        const stored = document && read(document, parseConnector);
        return stored === undefined || company === undefined ? [] : [toConnector(id, stored, company)];
      }),
    )
    .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
}

/** Whether a certificate that was signed for a connector is still to be accepted. */
export function isCertificateValid(
  { certificates }: { readonly certificates: readonly IssuedCertificate[] },
  serial: string,
  nowSeconds: number,
): boolean {
  return certificates.some((one) => one.serial === serial.toLowerCase() && isLive(one, nowSeconds));
}

/** Whether a certificate is neither revoked nor expired. */
export const isLive = ({ revokedAt, expiresAt }: IssuedCertificate, nowSeconds: number): boolean =>
  revokedAt === undefined && expiresAt > nowSeconds;
