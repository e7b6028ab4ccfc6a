import { Environment, ParseError, type ASTNode } from '@marcbachmann/cel-js';
import { AppError } from '../errors.ts';

/** Limits on what anybody may write; far above what people write, far below what hurts. */
export const LIMITS = { characters: 8000, nodes: 1500, depth: 48, listItems: 1000, arguments: 12 } as const;

const environment = new Environment({
  limits: { maxAstNodes: LIMITS.nodes, maxDepth: LIMITS.depth, maxListElements: LIMITS.listItems, maxMapEntries: 50, maxCallArguments: LIMITS.arguments },
});

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
    throw expressionError(
      text,
      { start: Math.min(range.start, text.length), end: range.end },
      { code: 'syntax', detail: `This cannot be read: ${error.message.split('\n')[0] ?? ''}.`, fix: hintFor(text, range.start) },
    );
  }
}

function hintFor(text: string, position: number): string | undefined {
  const around = text.slice(Math.max(0, position - 1), position + 2);
  if (/[^=!<>]=[^=]/.test(` ${around} `) && text[position] === '=') return "Write '==' to compare.";
  if (text[position] === '&' || text[position] === '|') return "Write '&&' and '||'.";
  if (/\b(and|or|not)\b/i.test(text)) return "Write '&&', '||' and '!' for and, or and not.";
  return undefined;
}
