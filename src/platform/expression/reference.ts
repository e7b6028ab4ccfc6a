import { BUDGET } from './budget.ts';
import { signature } from './check-functions.ts';
import { LANGUAGE_FORMS, type LanguageForm } from './forms.ts';
import { LIMITS } from './source.ts';
import type { FunctionEntry, FunctionExample, FunctionTable } from './types.ts';
import { MAX_LIST, MAX_TEXT, MAX_WORK } from './work.ts';

/**
 * The reference of the language as Markdown, made from the function table, the table of forms and the limits, and from nothing else.
 * @param sample describes the record that the examples look at
 * @param typeOf the type of an example, which says how its result is written
 */
export function expressionReference(functions: FunctionTable, sample: string, typeOf: (example: FunctionExample) => string): string {
  const formSections = [...groups(LANGUAGE_FORMS)].flatMap(([group, forms]) => [`## ${group}`, ...forms.map((form) => formText(form, typeOf))]);
  const functionSections = [...groups([...functions.values()])].flatMap(([group, entries]) => [
    `### ${group}`,
    ...[...groups(entries, (entry) => entry.name).values()].map((overloads) => functionText(overloads, typeOf)),
  ]);
  const names = [...new Set([...functions.values()].map((entry) => entry.name))].sort();
  const parts = [
    sample,
    ...formSections,
    '## Functions',
    `${String(names.length)} functions: ${names.map((name) => `\`${name}\``).join(', ')}.`,
    'A function may also be written behind its first value: `size(name)` is `name.size()`. With a null argument every function gives null; what else gives null is said with it.',
    ...functionSections,
    '## Limits',
    limits(),
  ];
  return `${parts.join('\n\n')}
`;
}

/** What an expression and its values may measure, from the code that holds them to it. */
function limits(): string {
  const lines: readonly (readonly [string, number])[] = [
    ['characters of an expression', LIMITS.characters],
    ['parts of an expression (names, values, operators, calls)', LIMITS.nodes],
    ['parts with those of its formulas', BUDGET.nodes],
    ['brackets and dots in one another', LIMITS.depth],
    ['operators and calls in one another, with those of its formulas', BUDGET.depth],
    ['elements of a list as written, and of a list that an expression makes', MAX_LIST],
    ['values that a function takes', LIMITS.arguments],
    ['questions about related records, with those of its formulas', BUDGET.relations],
    ['questions about related records in one another', BUDGET.relationDepth],
    ['questions about the elements of lists in one another', BUDGET.listDepth],
    ['characters that text functions handle for one record, with those of its formulas', BUDGET.text],
    ['characters of a text that an expression makes', MAX_TEXT],
    ['steps that one evaluation in JavaScript may take for one record', MAX_WORK],
  ];
  return [
    'What is written beyond these is refused when it is checked, with the place in the text and what to do instead. A text or list that an expression makes is null when it is larger; an evaluation that needs too many steps ends with an error, in SQL by the time-out of statements.',
    ['| At most | |', '|---|---|', ...lines.map(([name, most]) => `| ${name} | ${most.toLocaleString('en-US')} |`)].join('\n'),
  ].join('\n\n');
}

function groups<T extends { readonly group: string }>(items: readonly T[], by: (item: T) => string = (item) => item.group): ReadonlyMap<string, readonly T[]> {
  const found = new Map<string, readonly T[]>();
  for (const item of items) found.set(by(item), [...(found.get(by(item)) ?? []), item]);
  return found;
}

function formText(form: LanguageForm, typeOf: (example: FunctionExample) => string): string {
  return [
    `### \`${form.form}\``,
    form.description,
    facts([
      ['Null', form.nulls],
      ['Refused', form.refuses],
      ['SQL', form.obstacle === undefined ? 'yes' : `no: ${form.obstacle}`],
    ]),
    examples(form.examples, typeOf),
  ].join('\n\n');
}

function functionText(overloads: readonly FunctionEntry[], typeOf: (example: FunctionExample) => string): string {
  const [first] = overloads;
  return [`#### ${first?.name ?? ''}`, ...overloads.map((entry) => overloadText(entry, typeOf))].join('\n\n');
}

function overloadText(entry: FunctionEntry, typeOf: (example: FunctionExample) => string): string {
  return [
    `\`${signature(entry.name, entry)}\` gives ${resultName(entry)}. ${entry.description}`,
    facts([
      ['Null', entry.nulls],
      ['Refused', entry.refuses],
      ['SQL', sqlText(entry)],
    ]),
    examples(entry.examples, typeOf),
  ].join('\n\n');
}

function sqlText(entry: FunctionEntry): string {
  if (entry.toSql !== undefined) return 'yes';
  return entry.pure === true ? 'no, unless all arguments are constants' : 'no';
}

function resultName(entry: FunctionEntry): string {
  if (entry.gives === 'list') return 'a list of the same kind';
  if (entry.gives === 'element') return "the kind of the list's elements";
  switch (entry.result.kind) {
    case 'boolean':
      return 'yes/no';
    case 'instant':
      return 'a date and time';
    case 'list':
      return 'a list of text';
    default:
      return `a ${entry.result.kind}`;
  }
}

function facts(lines: readonly (readonly [string, string | undefined])[]): string {
  return lines.flatMap(([name, text]) => (text === undefined ? [] : [`- ${name}: ${text}`])).join('\n');
}

function examples(list: readonly FunctionExample[], typeOf: (example: FunctionExample) => string): string {
  const lines = list.map((example) => `${example.text}  // ${resultText(example.result, typeOf(example))}`);
  return ['```cel', ...lines, '```'].join('\n');
}

/** A result as it is written: text in quotes, lists in brackets, everything else bare. */
function resultText(value: unknown, type: string): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return `[${value.map((item) => resultText(item, type)).join(', ')}]`;
  return type === 'text' ? `'${String(value)}'` : String(value);
}
