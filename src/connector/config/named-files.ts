import { createPrivateKey, X509Certificate } from 'node:crypto';

import { Secret } from '../../core/secret.ts';
import { MAX_PEM_BYTES } from './config-files.ts';
import { findTimeFault, parseCertificates, parsePrivateKey } from './pem-files.ts';
import { type Reader, type Scope, text } from './shape.ts';

/** What stands behind the name of a key or a certificate that is about to take the place of another. */
export const NEXT = '.next';

/** A file that a configuration names, as text. The hint is said where the file is not there. */
function namedFile<T>(missingHint: string, parse: (content: string, scope: Scope, mode: number) => T): Reader<T> {
  return text((name, scope) => {
    const path = scope.files.toPath(name);
    const shown = scope.files.toName(path);
    const { content, fault, isMissing, mode } = scope.files.read(path, MAX_PEM_BYTES);
    if (content === undefined) throw new Error(`${shown} ${fault}${isMissing ? missingHint : ''}`);
    try {
      return parse(content.toString('utf8'), scope, mode);
    } catch (error) {
      throw new Error(`${shown} ${error instanceof Error ? error.message : 'cannot be taken'}`, { cause: error });
    }
  });
}

/** A private key. One that other users of the machine may read is warned of. */
export function keyFile(missingHint = ''): Reader<Secret> {
  const read = namedFile(missingHint, (content, _, mode) => {
    parsePrivateKey(content);
    return { key: new Secret(content), mode };
  });
  return (node, field, scope) => {
    const found = read(node, field, scope);
    // Windows has no such bits.
    const isOpen = found !== undefined && (found.mode & 0o077) !== 0 && process.platform !== 'win32';
    if (isOpen) scope.warn(node.at, field, 'other users of this machine may read the private key; chmod 600 ends that');
    return found?.key;
  };
}

/** A certificate that is valid now, with its chain. */
export function certificateFile(missingHint = ''): Reader<string> {
  return namedFile(missingHint, (content, scope) => {
    const [leaf] = parseCertificates(content);
    const fault = leaf && findTimeFault(leaf, scope.nowSeconds);
    if (fault !== undefined) throw new Error(`cannot be used: ${fault}`);
    return content;
  });
}

/** Certificates of authorities; one of several that has ended is no fault. */
export function authoritiesFile(missingHint = ''): Reader<string> {
  return namedFile(missingHint, (content, scope) => {
    const faults = parseCertificates(content).map((one) => findTimeFault(one, scope.nowSeconds));
    const [first] = faults;
    if (first !== undefined && !faults.includes(undefined)) throw new Error(`cannot be used: ${first}`);
    return content;
  });
}

/** Intermediate certificates that stand after a client's. */
export const chainFile: Reader<string> = namedFile('', (content) => {
  parseCertificates(content);
  return content;
});

/** The first line of a file, which must be all that is in it. */
export const passwordFile: Reader<Secret> = namedFile('', (content) => {
  const password = content.replace(/\r?\n$/, '');
  if (password === '') throw new Error('is empty');
  if (/\p{Control}/u.test(password)) throw new Error('must have one line');
  return new Secret(password);
});

/** Whether a key is the one that a certificate was made for. */
export function isKeyOf(key: Secret, certificate: string): boolean {
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key.reveal()));
}
