import { spawnSync } from 'node:child_process';

/** Debian's own first: its packages belong to it, and not to a Python that was installed beside it. */
const CANDIDATES = ['/usr/bin/python3', 'python3'] as const;

/** Whether that Python knows all of the modules. */
export function knowsModules(python: string, modules: readonly string[]): boolean {
  return spawnSync(python, ['-c', `import ${modules.join(', ')}`], { stdio: 'ignore' }).status === 0;
}

/** The Python that knows PyJWT and jwcrypto. @returns undefined where there is none */
export function findPython(): string | undefined {
  return CANDIDATES.find((python) => knowsModules(python, ['jwt', 'jwcrypto', 'cryptography']));
}
