/** What a document asks of the test: an example to run, a file to write, a server to restart. */
export type Step =
  | { readonly kind: 'server'; readonly line: number; readonly env: Readonly<Record<string, string>> }
  | { readonly kind: 'file'; readonly line: number; readonly name: string; readonly text: string }
  | Example;

/** A block that is run. */
export interface Example {
  readonly kind: 'run';
  /** Of the block's first line, counted from 1. */
  readonly line: number;
  readonly language: Language;
  readonly text: string;
  /** The file it is saved as. */
  readonly name: string;
  readonly exitCode: number;
  /** Its standard output, where the document shows it. */
  readonly prints?: string;
}

export type Language = 'bash' | 'js' | 'python';

/** By the word behind the fence. Blocks of these must say whether they run. */
const LANGUAGES: Readonly<Record<string, { readonly language: Language; readonly suffix: string }>> = {
  bash: { language: 'bash', suffix: 'sh' },
  sh: { language: 'bash', suffix: 'sh' },
  js: { language: 'js', suffix: 'mjs' },
  python: { language: 'python', suffix: 'py' },
};

const FENCE = /^(\s*)(`{3,}|~{3,})\s*([\w-]*)/;
const MARK = /^\s*<!--\s+(run|file|prints|not run)(?::\s*(.*?))?\s+-->\s*$/;
const SERVER = /^\s*<!--\s+server:\s*(.*?)\s+-->\s*$/;
const RUN_WORDS = /^([\w.-]+\.\w+)?\s*(?:exits (\d+))?$/;

interface Block {
  readonly line: number;
  readonly word: string;
  readonly text: string;
  readonly mark: string | undefined;
  readonly words: string;
}

function* readBlocks(source: string): Generator<Block | Step> {
  const lines = source.split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const server = SERVER.exec(lines[at] ?? '')?.[1];
    if (server !== undefined) yield { kind: 'server', line: at + 1, env: parsePairs(server) };
    const [, indent = '', fence, word = ''] = FENCE.exec(lines[at] ?? '') ?? [];
    if (fence === undefined) continue;
    const first = at + 1;
    const end = lines.findIndex((line, index) => index >= first && line.trim() === fence);
    if (end === -1) throw new Error(`line ${first}: the block has no end`);
    const text = lines.slice(first, end).map((line) => line.slice(line.startsWith(indent) ? indent.length : 0));
    const [, mark, words = ''] = MARK.exec(lines[first - 2] ?? '') ?? [];
    yield { line: first + 1, word, text: `${text.join('\n')}\n`, mark, words };
    at = end;
  }
}

function parsePairs(text: string): Record<string, string> {
  return Object.fromEntries(text.split(/\s+/).map((pair) => [pair.split('=')[0], pair.slice(pair.indexOf('=') + 1)]));
}

function toExample({ line, word, text, words }: Block): Example {
  const [, name, exitCode = '0'] = RUN_WORDS.exec(words) ?? [];
  const known = LANGUAGES[word];
  if (known === undefined || !RUN_WORDS.test(words)) throw new Error(`line ${line}: cannot run this`);
  const { language, suffix } = known;
  return { kind: 'run', line, language, text, name: name ?? `example-${line}.${suffix}`, exitCode: Number(exitCode) };
}

/**
 * The steps of a Markdown document, in their order.
 * @throws Error when a block that could run does not say whether it does, or a mark cannot be read
 */
export function parseSteps(source: string): Step[] {
  const steps: Step[] = [];
  for (const block of readBlocks(source)) {
    if ('kind' in block) {
      steps.push(block);
      continue;
    }
    const { line, word, text, mark, words } = block;
    const last = steps.at(-1);
    if (mark === undefined && Object.hasOwn(LANGUAGES, word)) throw new Error(`line ${line}: runs, or "not run: why"?`);
    if (mark === 'not run' && words === '') throw new Error(`line ${line}: not run, but why?`);
    if (mark === 'run') steps.push(toExample(block));
    if (mark === 'file') steps.push({ kind: 'file', line, name: words, text });
    if (mark === 'prints') {
      if (last?.kind !== 'run' || last.prints !== undefined) throw new Error(`line ${line}: follows nothing that runs`);
      steps.splice(-1, 1, { ...last, prints: text });
    }
  }
  return steps;
}

const REST_OF_LINE = '…';

/** Whether an output is what a document shows: `…` is anything within a line, a line of `…` alone any lines. */
export function isAsShown(output: string, shown: string): boolean {
  const clean = (text: string): string[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd());
  const patterns = clean(shown).map((line) =>
    line.trim() === REST_OF_LINE
      ? '(?:[^\\n]*\\n)*'
      : `${line
          .split(REST_OF_LINE)
          .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
          .join('[^\\n]*')}\\n`,
  );
  return new RegExp(`^${patterns.join('')}$`).test(`${clean(output).join('\n')}\n`);
}
