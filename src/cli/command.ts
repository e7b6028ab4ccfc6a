import { parseArgs, type ParseArgsConfig } from 'node:util';
import type { Config } from '../config.ts';
import { didYouMean } from '../platform/expression/suggest.ts';

/** Where a command's words go: data to stdout, talk to stderr. */
export interface Io {
  readonly out: (text: string) => void;
  readonly say: (text: string) => void;
  readonly stdin: NodeJS.ReadableStream;
  /** True when stderr is a terminal: progress is shown there only. */
  readonly isTerminal: boolean;
  /** Directory that file names are relative to. */
  readonly directory: string;
}

export interface Option {
  /** Placeholder of the value; absent = a switch. */
  readonly value?: string;
  readonly help: string;
}

export interface Call {
  readonly io: Io;
  readonly config: Config;
  readonly positionals: readonly string[];
  /** The value of an option, or null. */
  option(name: string): string | null;
  isSet(name: string): boolean;
}

/** One command, noun first. `run` answers the exit code, 0 unless it says otherwise. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What follows the name: `OBJECT FILE`. */
  readonly usage: string;
  readonly example: string;
  readonly positionals: readonly [fewest: number, most: number];
  readonly options: Readonly<Record<string, Option>>;
  readonly run: (call: Call) => Promise<number | void>;
}

/** Wrong use of the command line: exit code 2. */
export class UsageError extends Error {
  readonly command: Command | null;
  constructor(message: string, command: Command | null = null) {
    super(message);
    this.name = 'UsageError';
    this.command = command;
  }
}

export const JSON_OPTION: Option = { help: 'Print JSON, for machines.' };

/** Finds the command that the words begin with; the longest name wins. @throws UsageError with a suggestion */
export function findCommand(commands: readonly Command[], words: readonly string[]): { readonly command: Command; readonly rest: readonly string[] } {
  const byLength = [...commands].sort((left, right) => right.name.split(' ').length - left.name.split(' ').length);
  for (const command of byLength) {
    const name = command.name.split(' ');
    if (name.every((word, index) => words[index] === word)) return { command, rest: words.slice(name.length) };
  }
  const typed = words.slice(0, 2).filter((word) => !word.startsWith('-'));
  const family = commands.filter((command) => command.name.startsWith(`${typed[0] ?? ''} `)).map((command) => command.name);
  const hint =
    family.length > 0 && typed.length < 2
      ? `It goes on: ${family.join(', ')}.`
      : (didYouMean(typed.join(' '), names(commands)) ?? didYouMean(typed[0] ?? '', names(commands)) ?? 'Run credenza --help for the list.');
  throw new UsageError(`There is no command "${typed.join(' ')}". ${hint}`);
}

function names(commands: readonly Command[]): readonly string[] {
  return commands.flatMap((command) => [command.name, command.name.split(' ')[0] ?? '']);
}

/** Reads options and positionals. @throws UsageError */
export function readCall(command: Command, rest: readonly string[], io: Io, config: Config): Call {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, option] of Object.entries(command.options)) options[name] = { type: option.value === undefined ? 'boolean' : 'string' };
  checkOptionNames(command, rest);
  let parsed: { readonly values: Readonly<Record<string, unknown>>; readonly positionals: readonly string[] };
  try {
    parsed = parseArgs({ args: [...rest], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? (error.message.split('\n')[0] ?? error.message) : String(error), command);
  }
  const [fewest, most] = command.positionals;
  const { values, positionals } = parsed;
  if (positionals.length < fewest) throw new UsageError(`Something is missing: credenza ${command.name} ${command.usage}`, command);
  if (positionals.length > most) throw new UsageError(`"${positionals[most] ?? ''}" is one word too many: credenza ${command.name} ${command.usage}`, command);
  return {
    io,
    config,
    positionals,
    option: (name) => {
      const value = values[name];
      return typeof value === 'string' ? value : null;
    },
    isSet: (name) => values[name] === true,
  };
}

function checkOptionNames(command: Command, rest: readonly string[]): void {
  const end = rest.indexOf('--');
  for (const word of end < 0 ? rest : rest.slice(0, end)) {
    const name = /^--([^=]+)/.exec(word)?.[1];
    if (name === undefined || Object.hasOwn(command.options, name)) continue;
    const hint =
      didYouMean(name, Object.keys(command.options)) ??
      `It takes: ${
        Object.keys(command.options)
          .map((entry) => `--${entry}`)
          .join(', ') || 'no options'
      }.`;
    throw new UsageError(`credenza ${command.name} has no option --${name}. ${hint}`, command);
  }
}

/** The help of one command: an example first. */
export function helpOf(command: Command): string {
  const options = Object.entries({ ...command.options, help: { help: 'Show this.' } satisfies Option });
  const shown = options.map(([name, option]): readonly [string, string] => [
    'value' in option ? `--${name} ${String(option.value)}` : `--${name}`,
    option.help,
  ]);
  const width = Math.max(...shown.map(([left]) => left.length)) + 2;
  const lines = [
    `  ${command.example}`,
    '',
    command.summary,
    '',
    `Use: credenza ${[command.name, command.usage, '[options]'].filter((part) => part !== '').join(' ')}`,
    '',
  ];
  return `${[...lines, ...shown.map(([left, right]) => `  ${left.padEnd(width)}${right}`)].join('\n')}\n`;
}

/** The list of all commands. */
export function helpOfAll(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length)) + 2;
  const list = commands.map((command) => `  ${command.name.padEnd(width)}${command.summary}`);
  return `${['  npx credenza start', '', 'The command line of Credenza. Every command explains itself with --help.', '', ...list].join('\n')}\n`;
}
