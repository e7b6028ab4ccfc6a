import { isUuid } from '../ids.ts';
import { callEntry } from './check-functions.ts';
import { negate, toDecimal } from './decimal.ts';
import { checkCondition, fail, type Scope } from './scope.ts';
import type { Span } from './source.ts';
import type { ArithmeticOperator, Expr, OrderOperator } from './tree.ts';
import { areComparable, mixHint, retype, typeName, unify, valueType } from './type-rules.ts';
import type { ExprType } from './types.ts';
import type { ASTNode } from '@marcbachmann/cel-js';

/** `condition ? a : b`. */
export function checkConditional(scope: Scope, args: readonly [ASTNode, ASTNode, ASTNode], span: Span): Expr {
  const condition = checkCondition(scope, args[0], "'?'");
  const [then, otherwise] = [scope.check(scope, args[1]), scope.check(scope, args[2])];
  const type = unify(then.type, otherwise.type);
  if (type === null)
    return fail(scope, otherwise, {
      code: 'type',
      detail: `Both sides of ':' must be of one kind; these are ${typeName(then.type)} and ${typeName(otherwise.type)}.`,
      fix: mixHint(then.type, otherwise.type),
    });
  return { kind: 'conditional', type, condition, then: retype(then, type), otherwise: retype(otherwise, type), ...span };
}

/** `a && b && c` and `a || b`, each chain as one node. */
export function checkLogic(scope: Scope, operator: 'and' | 'or', node: ASTNode, span: Span): Expr {
  const items: Expr[] = [];
  const symbol = operator === 'and' ? '&&' : '||';
  let rest = node;
  while ((rest.op === '&&' || rest.op === '||') && rest.op === symbol) {
    items.unshift(checkCondition(scope, rest.args[1], `'${symbol}'`));
    rest = rest.args[0];
  }
  items.unshift(checkCondition(scope, rest, `'${symbol}'`));
  return { kind: 'logic', type: { kind: 'boolean' }, operator, items, ...span };
}

/** `-a` of a number or a duration. */
export function checkNegation(scope: Scope, operand: Expr, span: Span): Expr {
  if (operand.type.kind === 'duration') return callEntry(scope, 'negate', [operand], span);
  if (operand.type.kind !== 'number')
    return fail(scope, operand, { code: 'type', detail: `'-' takes a number or a duration, and this is a ${typeName(operand.type)}.` });
  if (operand.kind === 'literal') {
    const value = toDecimal(operand.value);
    return { ...operand, value: value === null ? null : negate(value), ...span };
  }
  return { kind: 'negate', type: { kind: 'number' }, operand, ...span };
}

/** An id written as text must be one, or no row could ever match. */
export function checkIdLiteral(scope: Scope, type: ExprType, literal: Expr): Expr {
  if (valueType(type).kind !== 'uuid' || literal.kind !== 'literal' || typeof literal.value !== 'string') return literal;
  const value = literal.value.toLowerCase();
  if (!isUuid(value))
    return fail(scope, literal, {
      code: 'type',
      detail: `'${literal.value}' is not a record id.`,
      fix: 'Compare a reference with an id (UUID), or follow it: reference.field.',
    });
  return { ...literal, type: { kind: 'uuid' }, value };
}

/** `a == b` and `a != b`. */
export function checkEqual(scope: Scope, negated: boolean, first: Expr, second: Expr, span: Span): Expr {
  if (first.type.kind === 'null') return { kind: 'isNull', type: { kind: 'boolean' }, negated, operand: second, ...span };
  if (second.type.kind === 'null') return { kind: 'isNull', type: { kind: 'boolean' }, negated, operand: first, ...span };
  const operator = negated ? '!=' : '==';
  if (!areComparable(first.type, second.type)) {
    return fail(scope, span, {
      code: 'type',
      detail: `'${operator}' cannot compare ${typeName(first.type)} with ${typeName(second.type)}.`,
      fix: mixHint(first.type, second.type),
    });
  }
  const [left, right] = [retype(checkIdLiteral(scope, second.type, first), second.type), retype(checkIdLiteral(scope, first.type, second), first.type)];
  return { kind: 'equal', type: { kind: 'boolean' }, negated, left, right, ...span };
}

const ORDERED: readonly ExprType['kind'][] = ['number', 'date', 'instant', 'text'];

/** `a < b` and the like. */
export function checkOrder(scope: Scope, operator: OrderOperator, left: Expr, right: Expr, span: Span): Expr {
  const kind = left.type.kind === 'null' ? right.type.kind : left.type.kind;
  const same = left.type.kind === right.type.kind || left.type.kind === 'null' || right.type.kind === 'null';
  if (!same || (kind !== 'null' && !ORDERED.includes(kind))) {
    return fail(scope, span, {
      code: 'type',
      detail: `'${operator}' cannot compare ${typeName(left.type)} with ${typeName(right.type)}.`,
      fix: kind === 'duration' ? 'Compare months(...), days(...) or hours(...) of the durations.' : mixHint(left.type, right.type),
    });
  }
  if (left.type.kind === 'null' || right.type.kind === 'null') return { kind: 'literal', type: { kind: 'boolean' }, value: false, ...span };
  if (kind === 'text') for (const side of [left, right]) checkSortable(scope, side, operator);
  return { kind: 'order', type: { kind: 'boolean' }, operator, bySortKey: kind === 'text', left, right, ...span };
}

function checkSortable(scope: Scope, side: Expr, operator: string): void {
  if (side.kind === 'literal' || (side.kind === 'field' && side.sortColumn !== null)) return;
  fail(scope, side, {
    code: 'type',
    detail: `'${operator}' on text works only between sortable fields and literal text.`,
    fix: 'Use ==, startsWith(...) or a field that can be sorted.',
  });
}

const DATES: readonly ExprType['kind'][] = ['date', 'instant'];

/** What arithmetic means that is not of numbers or texts: the entry of the function table that does it, with its arguments. */
function otherArithmetic(scope: Scope, operator: ArithmeticOperator, left: Expr, right: Expr, span: Span): Expr | null {
  const [first, second] = [left.type.kind, right.type.kind];
  if (operator === '+' && first === 'list' && second === 'list') return callEntry(scope, 'concat', [left, right], span);
  if (operator === '*' && first === 'duration' && second === 'number') return callEntry(scope, 'times', [left, right], span);
  if (operator === '*' && first === 'number' && second === 'duration') return callEntry(scope, 'times', [right, left], span);
  const isMove = DATES.includes(first) || first === 'duration';
  if (operator === '+' && isMove && second === 'duration') return callEntry(scope, 'addDuration', [left, right], span);
  if (operator === '+' && first === 'duration' && DATES.includes(second)) return callEntry(scope, 'addDuration', [right, left], span);
  if (operator === '-' && isMove && second === 'duration')
    return callEntry(scope, 'addDuration', [left, checkNegation(scope, right, { start: right.start, end: right.end })], span);
  return null;
}

function arithmeticHint(operator: ArithmeticOperator, left: Expr, right: Expr): string | undefined {
  const kinds = [left.type.kind, right.type.kind];
  if (operator === '-' && kinds.every((kind) => kind === 'date')) return 'Use days(from, to), months(from, to) or years(from, to).';
  if (operator === '-' && kinds.every((kind) => kind === 'instant')) return 'Use hours(from, to), minutes(from, to) or seconds(from, to).';
  if (kinds.some((kind) => DATES.includes(kind))) return "Use addDays(day, n), day + duration('P3M') or days(from, to).";
  if (operator === '+' && kinds.includes('list')) return "Write list + ['a'] to add an element.";
  return mixHint(left.type, right.type);
}

/** `a + b` and the like: of numbers, texts, lists, durations, and durations with days and instants. */
export function checkArithmetic(scope: Scope, operator: ArithmeticOperator, first: Expr, second: Expr, span: Span): Expr {
  const kinds = [first.type.kind, second.type.kind];
  const isText = operator === '+' && kinds.includes('text') && kinds.every((kind) => kind === 'text' || kind === 'null');
  const wanted: ExprType = { kind: isText ? 'text' : 'number' };
  const [left, right] = [retype(first, wanted), retype(second, wanted)];
  if (left.type.kind === wanted.kind && right.type.kind === wanted.kind) {
    return isText ? { kind: 'concat', type: wanted, left, right, ...span } : { kind: 'arithmetic', type: wanted, operator, left, right, ...span };
  }
  return (
    otherArithmetic(scope, operator, first, second, span) ??
    fail(scope, span, {
      code: 'type',
      detail: `'${operator}' cannot be used with ${typeName(first.type)} and ${typeName(second.type)}.`,
      fix: arithmeticHint(operator, first, second),
    })
  );
}
