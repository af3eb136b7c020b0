import type * as X509 from '@peculiar/x509';

/** The X.509 library, loaded at its first use: a process that signs nothing does not pay for it. */
export async function loadX509(): Promise<typeof X509> {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}
