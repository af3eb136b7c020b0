import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';

const BLOCK = /-----BEGIN ([A-Z\d ]+)-----[A-Za-z\d+/=\s]+-----END \1-----/g;

interface Block {
  readonly label: string;
  readonly pem: string;
}

const findBlocks = (text: string): Block[] => [...text.matchAll(BLOCK)].map(([pem, label = '']) => ({ label, pem }));

function describeOthers(text: string): string {
  if (/BEGIN [A-Z ]*PRIVATE KEY/.test(text)) return 'holds a private key, not a certificate';
  if (/BEGIN (?:NEW )?CERTIFICATE REQUEST/.test(text)) {
    return 'holds the request, not the certificate that was made from it';
  }
  return 'holds no PEM certificate';
}

/**
 * The certificates of a PEM text in their order, at least one.
 * @throws Error whose message is the rest of a sentence
 */
export function parseCertificates(text: string): readonly X509Certificate[] {
  const blocks = findBlocks(text).filter(({ label }) => /^(?:X509 |TRUSTED )?CERTIFICATE$/.test(label));
  if (blocks.length === 0) throw new Error(describeOthers(text));
  return blocks.map(({ pem }, index) => {
    try {
      return new X509Certificate(pem);
    } catch (error) {
      throw new Error(`certificate ${index + 1} in it is damaged`, { cause: error });
    }
  });
}

/**
 * The private key of a PEM text.
 * @throws Error whose message is the rest of a sentence
 */
export function parsePrivateKey(text: string): KeyObject {
  const block = findBlocks(text.replaceAll(/^[A-Z][A-Za-z-]+: .*$/gm, '')).find(({ label }) =>
    label.endsWith('PRIVATE KEY'),
  );
  if (/BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    throw new Error('is encrypted; the agent needs a key without a passphrase');
  }
  if (block === undefined) {
    const isCertificate = /BEGIN CERTIFICATE-----/.test(text);
    throw new Error(isCertificate ? 'holds a certificate, not a private key' : 'holds no PEM private key');
  }
  try {
    return createPrivateKey(block.pem);
  } catch (error) {
    throw new Error('holds a damaged private key', { cause: error });
  }
}

const DAY_SECONDS = 86_400;

/** When a certificate begins and ends, in seconds since the epoch. */
export function toLifetime(certificate: X509Certificate): { startsAt: number; endsAt: number } {
  return { startsAt: Date.parse(certificate.validFrom) / 1000, endsAt: Date.parse(certificate.validTo) / 1000 };
}

/** A day for people, `2026-11-20`. */
export const toDay = (atSeconds: number): string => new Date(atSeconds * 1000).toISOString().slice(0, 10);

/**
 * What is wrong with a certificate's time.
 * @returns undefined where nothing is
 */
export function findTimeFault(certificate: X509Certificate, nowSeconds: number): string | undefined {
  const { startsAt, endsAt } = toLifetime(certificate);
  if (endsAt <= nowSeconds) return `the certificate ended on ${toDay(endsAt)}`;
  // A clock that is a little behind is no reason not to start.
  if (startsAt > nowSeconds + DAY_SECONDS) return `the certificate begins on ${toDay(startsAt)}; is the clock right?`;
  return undefined;
}

const CONNECTOR_URI = /(?:^|, )URI:urn:countersign:connector:([\w.-]+)(?:$|, )/;
const COMMON_NAME = /^CN=([\w.-]+)$/m;

/** The id of the connector that a certificate is for; undefined where it names none. */
export function toConnectorId(certificate: X509Certificate): string | undefined {
  return CONNECTOR_URI.exec(certificate.subjectAltName ?? '')?.[1] ?? COMMON_NAME.exec(certificate.subject ?? '')?.[1];
}
