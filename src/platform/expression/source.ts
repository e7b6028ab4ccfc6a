import { Environment, ParseError, type ASTNode } from '@marcbachmann/cel-js';
import { AppError } from '../errors.ts';

export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface ExpressionProblem {
  /** Machine-readable kind of the problem, such as `unknown_name`. */
  readonly code: string;
  readonly detail: string;
  readonly fix?: string | undefined;
}

/** Limits on what anybody may write; far above what people write, far below what hurts. */
export const LIMITS = { characters: 8000, nodes: 1500, depth: 48, listItems: 1000, arguments: 12, mapEntries: 50 } as const;
const environment = new Environment({
  limits: {
    maxAstNodes: LIMITS.nodes,
    maxDepth: LIMITS.depth,
    maxListElements: LIMITS.listItems,
    maxMapEntries: LIMITS.mapEntries,
    maxCallArguments: LIMITS.arguments,
  },
});

/** An `invalid_expression` that says where in the text (line and column from 1) and what to do. */
export function expressionError(text: string, span: Span, problem: ExpressionProblem): AppError {
  const before = text.slice(0, span.start).split('\n');
  const [line, column] = [before.length, (before.at(-1) ?? '').length + 1];
  const where = `line ${String(line)}, column ${String(column)}`;
  const fix = problem.fix === undefined ? '' : ` ${problem.fix}`;
  return new AppError('invalid_expression', `${problem.detail}${fix} (${where} of: ${excerpt(text, span)})`, {
    errors: [{ pointer: '', code: problem.code, detail: `${problem.detail} (${where})`, ...(problem.fix === undefined ? {} : { fix: problem.fix }) }],
    extra: { text: text.slice(0, LIMITS.characters), line, column, start: span.start, end: span.end },
  });
}

function excerpt(text: string, span: Span): string {
  if (text.length <= 120) return text;
  const from = Math.max(0, Math.min(span.start - 40, text.length - 120));
  return `${from > 0 ? '...' : ''}${text.slice(from, from + 120)}${from + 120 < text.length ? '...' : ''}`;
}

/** Parses CEL text within the limits; throws invalid_expression with the place of the fault. */
export function parseSource(text: string): ASTNode {
  if (text.length > LIMITS.characters) {
    throw expressionError(
      text,
      { start: 0, end: 0 },
      {
        code: 'too_long',
        detail: `The expression has ${String(text.length)} characters; ${String(LIMITS.characters)} are allowed.`,
        fix: 'Split it into formula fields or rules.',
      },
    );
  }
  if (text.trim() === '')
    throw expressionError(
      text,
      { start: 0, end: 0 },
      { code: 'empty', detail: 'The expression is empty.', fix: "Write a condition such as status == 'active', or leave the setting out." },
    );
  try {
    return environment.parse(text).ast;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const range = error.range ?? { start: 0, end: text.length };
    const start = Math.min(range.start, text.length);
    throw expressionError(text, { start, end: Math.max(start, Math.min(range.end, text.length)) }, describeFault(text, start, error));
  }
}

/** What the parser's limits are called and what to do about them. */
const LIMIT_PROBLEMS: Readonly<Record<string, ExpressionProblem>> = {
  maxAstNodes: {
    code: 'too_large',
    detail: `The expression has more than ${String(LIMITS.nodes)} parts.`,
    fix: "Use field in ['a', 'b', ...] instead of many comparisons, or split it into formula fields.",
  },
  maxDepth: { code: 'too_deep', detail: `Brackets and dots go more than ${String(LIMITS.depth)} levels deep.`, fix: 'Take a part into a formula field.' },
  maxListElements: {
    code: 'list_too_long',
    detail: `The list has more than ${String(LIMITS.listItems)} elements.`,
    fix: 'Keep them in a value set or in records.',
  },
  maxMapEntries: { code: 'too_large', detail: `The braces hold more than ${String(LIMITS.mapEntries)} values.` },
  maxCallArguments: { code: 'arguments', detail: `A function takes at most ${String(LIMITS.arguments)} values.`, fix: 'Give it a list: [a, b, ...].' },
};

/** The parser's fault in the words of the people who write expressions. */
function describeFault(text: string, start: number, error: ParseError): ExpressionProblem {
  const message = error.summary;
  const limit = LIMIT_PROBLEMS[/^Exceeded (\w+)/.exec(message)?.[1] ?? ''];
  if (limit !== undefined) return limit;
  const word = /^[\p{L}\p{N}_]+|^\S/u.exec(text.slice(start))?.[0];
  const fix = hintFor(text, start);
  switch (error.code) {
    case 'unterminated_string':
    case 'unterminated_triple_quoted_string':
    case 'newline_in_string':
      return { code: 'syntax', detail: 'This text has no closing quote on its line.', fix: "Write 'text', and \\' for a quote in it." };
    case 'reserved_identifier':
      return { code: 'syntax', detail: `'${word ?? ''}' is a reserved word and cannot be a name.`, fix: `Write this.${word ?? ''} for the field.` };
    case 'invalid_number':
    case 'invalid_exponent':
      return { code: 'syntax', detail: 'This is not a number.', fix: 'Write it as 2000 or 0.5.' };
    case 'invalid_macro_argument':
      return {
        code: 'arguments',
        detail: 'The first value in brackets must be a name of your choice for one record or element.',
        fix: "Write it as list.exists(x, x == 'a').",
      };
    default:
      if (word === undefined) return { code: 'syntax', detail: 'This cannot be read: something is missing at the end.', fix: fix ?? missingBracket(text) };
      return { code: 'syntax', detail: `This cannot be read: '${word}' does not fit here.`, fix: fix ?? missingBracket(text) };
  }
}

/** Says which bracket has no partner, leaving out what stands in quotes. */
function missingBracket(text: string): string | undefined {
  const bare = text.replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, '');
  for (const [open, close] of [
    ['(', ')'],
    ['[', ']'],
    ['{', '}'],
  ] as const) {
    const [opened, closed] = [bare.split(open).length, bare.split(close).length];
    if (opened > closed) return `A '${close}' is missing.`;
    if (closed > opened) return `There is a '${close}' too many.`;
  }
  return undefined;
}

function hintFor(text: string, position: number): string | undefined {
  const [before, at, after] = [text[position - 1] ?? '', text[position] ?? '', text[position + 1] ?? ''];
  if (at === '=' && !'=!<>'.includes(before || ' ') && after !== '=') return "Write '==' to compare.";
  if (before === '=' && at !== '=' && !'=!<>'.includes(text[position - 2] ?? ' ')) return "Write '==' to compare.";
  if (at === '&' || at === '|' || before === '&' || before === '|') return "Write '&&' and '||'.";
  if (before === '<' && at === '>') return "Write '!=' for unequal.";
  if (/^(and|or|not)\b/i.test(text.slice(position))) return "Write '&&', '||' and '!' for and, or and not.";
  if (/\b(and|or|not)\s*$/i.test(text.slice(0, position))) return "Write '&&', '||' and '!' for and, or and not.";
  if (at === '\u2018' || at === '\u2019' || at === '\u201C' || at === '\u201D') return "Write straight quotes: 'text'.";
  return undefined;
}
