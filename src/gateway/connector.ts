/** A certificate that was signed for a connector. */
export interface IssuedCertificate {
  /** Lower-case hexadecimal, as `openssl x509 -serial` shows it but for the case. */
  readonly serial: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly revokedAt?: number;
}

/** A registered connector. */
export interface Connector {
  /** `cn-` and a UUID. */
  readonly id: string;
  readonly name: string;
  readonly description: string;
  /** `default` unless it was named. One connector of a company is enabled at a time. */
  readonly company: string;
  /** Requests reach it only while it is enabled; it may connect before. */
  readonly enabled: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly certificates: readonly IssuedCertificate[];
}

/** Someone who may call through the gateway. */
export interface Caller {
  readonly id: string;
  readonly name: string;
  /** Which connectors; all where it is left out. */
  readonly connectors?: readonly string[];
  /** SHA-256 of the token, hexadecimal. */
  readonly tokenHash: string;
  readonly createdAt: number;
}

/** An agent that is connected, as the status of its connector shows it. */
export interface Instance {
  /** Which gateway node holds it. */
  readonly node: string;
  readonly instance: string;
  readonly worker: number;
  readonly hostname: string;
  readonly version: string;
  readonly connectedAt: number;
}
