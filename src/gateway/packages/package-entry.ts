/** A file or an empty folder of an archive. */
export interface PackageEntry {
  /** With forward slashes and without a leading one; a folder ends with a slash. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** Empty for a folder. */
  readonly body: Buffer;
}

/** The longest path in an archive, in bytes: what the oldest tar header holds. */
export const MAX_PACKAGE_PATH_BYTES = 100;

/** @throws TypeError for a path that would leave the folder it is unpacked in, or does not fit */
export function checkPackagePath(path: string): void {
  const segments = path.replace(/\/$/, '').split('/');
  const isPlain = /^[\w.\-/]+$/.test(path) && segments.every((segment) => !/^\.{0,2}$/.test(segment));
  if (!isPlain) throw new TypeError(`not a path of a package: ${JSON.stringify(path)}`);
  if (Buffer.byteLength(path) > MAX_PACKAGE_PATH_BYTES) throw new TypeError(`too long for a package: ${path}`);
}
