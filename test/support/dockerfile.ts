/** One instruction, its continued lines joined. */
export interface Instruction {
  readonly keyword: string;
  /** `--name=value` before the arguments. */
  readonly flags: Readonly<Record<string, string>>;
  /** The rest of the line as it stands. */
  readonly text: string;
}

/** What follows one FROM. */
export interface Stage {
  readonly name: string;
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

function parseInstruction(line: string): Instruction {
  const [, keyword = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
  const flags: Record<string, string> = {};
  const text = rest.replace(/^(?:--[^\s=]+(?:=\S+)?\s+)+/, (all) => {
    for (const [, name = '', value = ''] of all.matchAll(/--([^\s=]+)(?:=(\S+))?/g)) flags[name] = value;
    return '';
  });
  return { keyword: keyword.toUpperCase(), flags, text };
}

/** The instructions of a Dockerfile without heredocs. */
export function parseInstructions(source: string): Instruction[] {
  const lines = source.split('\n').filter((line) => !/^\s*(?:#.*)?$/.test(line));
  const logical = lines
    .join('\n')
    .replace(/\\\n\s*/g, ' ')
    .split('\n');
  return logical.map((line) => parseInstruction(line.trim()));
}

/** The stages in their order. What stands before the first FROM belongs to none. */
export function parseStages(source: string): Stage[] {
  const stages: { name: string; base: string; instructions: Instruction[] }[] = [];
  for (const instruction of parseInstructions(source)) {
    const [base = '', , name = String(stages.length)] = instruction.text.split(/\s+/);
    if (instruction.keyword === 'FROM') stages.push({ name, base, instructions: [] });
    else stages.at(-1)?.instructions.push(instruction);
  }
  return stages;
}

/** The words of an exec form, `["node", "main.js"]`, or undefined when it is a shell form. */
export function parseExecForm(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  const words: unknown = JSON.parse(text);
  return Array.isArray(words) && words.every((word) => typeof word === 'string') ? words : undefined;
}

/** The variables that a stage sets with `ENV name=value …`. */
export function parseEnvironment({ instructions }: Stage): Record<string, string> {
  const lines = instructions.filter(({ keyword }) => keyword === 'ENV').map(({ text }) => text);
  return Object.fromEntries(
    lines.flatMap((line) => line.split(/\s+/).map((pair) => pair.split('=', 2) as [string, string])),
  );
}

/** The last instruction of that name, the one that counts. */
export function findLast({ instructions }: Stage, keyword: string): Instruction | undefined {
  return instructions.findLast((one) => one.keyword === keyword);
}

/** The words of the HEALTHCHECK's command. */
export function parseHealthcheck(stage: Stage): string[] | undefined {
  const text = findLast(stage, 'HEALTHCHECK')?.text ?? '';
  return text.startsWith('CMD ') ? parseExecForm(text.slice('CMD '.length).trim()) : undefined;
}

const PINNED = /^[a-z\d./-]+:\d+\.\d+\.\d+[\w.-]*(?:@sha256:[\da-f]{64})?$/;
const SECRET_NAME = /(?:SECRET|TOKEN|PASSWORD|PASSPHRASE|PRIVATE|_KEY(?:_|$)|(?:^|_)KEY$)/;

function checkFinalStage(stage: Stage): string[] {
  const complaints: string[] = [];
  const user = findLast(stage, 'USER');
  const isRoot = user === undefined || /^(?:root|0)(?::|$)/.test(user.text);
  const keywords = stage.instructions.map(({ keyword }) => keyword);
  if (isRoot) complaints.push('runs as root');
  else if (keywords.lastIndexOf('USER') > keywords.lastIndexOf('ENTRYPOINT')) complaints.push('USER after ENTRYPOINT');
  if (parseHealthcheck(stage) === undefined) complaints.push('no HEALTHCHECK in exec form');
  for (const keyword of ['ENTRYPOINT', 'CMD']) {
    if (parseExecForm(findLast(stage, keyword)?.text ?? '') === undefined) complaints.push(`${keyword}: no exec form`);
  }
  return complaints;
}

/** Everything about a Dockerfile that should not be, one line each. */
export function checkDockerfile(source: string): string[] {
  const stages = parseStages(source);
  const complaints: string[] = [];
  for (const [index, { base, instructions }] of stages.entries()) {
    const isStage = stages.slice(0, index).some(({ name }) => name === base);
    if (!isStage && !PINNED.test(base)) complaints.push(`${base}: not pinned to a version`);
    for (const { keyword, text } of instructions) {
      if (keyword === 'ADD') complaints.push(`ADD ${text}: COPY is enough`);
      const names =
        keyword === 'ENV' || keyword === 'ARG' ? text.split(/\s+/).map((pair) => pair.split('=')[0] ?? '') : [];
      for (const name of names)
        if (SECRET_NAME.test(name)) complaints.push(`${keyword} ${name}: a secret in the image`);
    }
  }
  const last = stages.at(-1);
  return last === undefined ? ['no stage'] : [...complaints, ...checkFinalStage(last)];
}
