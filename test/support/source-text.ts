/** After one of these a slash starts a regular expression, not a division. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|yield|await))\s*$/;

/** Where the quoted text that starts at `start` ends, the closing mark included. */
function findQuotedEnd(source: string, start: number): number {
  const mark = source[start];
  for (let at = start + 1; at < source.length; at += 1) {
    if (source[at] === '\\') at += 1;
    else if (source[at] === mark) return at + 1;
    else if (source[at] === '\n' && mark !== '`') return at;
  }
  return source.length;
}

/** Where the regular expression that starts at `start` ends. A slash inside a class does not end it. */
function findRegexEnd(source: string, start: number): number {
  let inClass = false;
  for (let at = start + 1; at < source.length; at += 1) {
    const character = source[at];
    if (character === '\\') at += 1;
    else if (character === '\n') return at;
    else if (character === '[') inClass = true;
    else if (character === ']') inClass = false;
    else if (character === '/' && !inClass) return at + 1;
  }
  return source.length;
}

function findCommentEnd(source: string, start: number, mark: string): number {
  const at = source.indexOf(mark, start + 2);
  return at === -1 ? source.length : at + (mark === '*/' ? 2 : 0);
}

/** The source without its comments; quoted texts, template literals and regular expressions stay. */
export function stripComments(source: string): string {
  let code = '';
  let at = 0;
  while (at < source.length) {
    const two = source.slice(at, at + 2);
    const character = source[at] ?? '';
    if (two === '//') at = findCommentEnd(source, at, '\n');
    else if (two === '/*') {
      at = findCommentEnd(source, at, '*/');
      code += ' ';
    } else {
      let end = at + 1;
      if (character === '/' && BEFORE_REGEX.test(code.slice(-40))) end = findRegexEnd(source, at);
      if (character === "'" || character === '"' || character === '`') end = findQuotedEnd(source, at);
      code += source.slice(at, end);
      at = end;
    }
  }
  return code;
}

const SPECIFIER_PATTERNS: readonly RegExp[] = [
  /\b(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"\n]+)['"]/g,
  /\bimport\s*['"]([^'"\n]+)['"]/g,
  /\b(?:import|require|require\.resolve)\s*\(\s*['"`]([^'"`\n]+)['"`]/g,
];

/** What a source without comments imports, type imports, re-exports and dynamic imports included. */
export function findSpecifiers(code: string): string[] {
  const found = SPECIFIER_PATTERNS.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ''));
  return [...new Set(found)];
}

/** Whether something is imported whose name only the running program knows. */
export function hasComputedImport(code: string): boolean {
  return /\b(?:import|require)\s*\(\s*(?!['"`)\s])/.test(code) || /\bimport\s*\(\s*`[^`]*\$\{/.test(code);
}
