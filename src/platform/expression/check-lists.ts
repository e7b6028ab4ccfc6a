import { callEntry } from './check-functions.ts';
import { checkIdLiteral } from './check-operators.ts';
import { checkCondition, fail, type Scope } from './scope.ts';
import type { Span } from './source.ts';
import type { ElementExpr, Expr, ListOperator } from './tree.ts';
import { areComparable, isScalar, mixHint, retype, settleList, typeName, unify, valueType } from './type-rules.ts';
import type { ExprType } from './types.ts';
import type { ASTNode } from '@marcbachmann/cel-js';

/** `[a, b, c]`. */
export function checkList(scope: Scope, given: readonly Expr[], span: Span): Expr {
  const id = given.find((item) => valueType(item.type).kind === 'uuid');
  const items = id === undefined ? given : given.map((item) => checkIdLiteral(scope, id.type, item));
  let of: ExprType = { kind: 'null' };
  for (const item of items) {
    const next = unify(of, item.type);
    if (next === null || !(isScalar(next) || next.kind === 'null'))
      return fail(scope, item, {
        code: 'type',
        detail: `A list holds values of one kind; this one mixes ${typeName(of)} and ${typeName(item.type)}.`,
        fix: mixHint(of, item.type),
      });
    of = next;
  }
  return { kind: 'list', type: { kind: 'list', of }, items: items.map((item) => retype(item, of)), ...span };
}

/** `a in list`; `list.contains(a)` is the same. */
export function checkIn(scope: Scope, needle: Expr, list: Expr, span: Span): Expr {
  if (list.type.kind !== 'list')
    return fail(scope, list, {
      code: 'type',
      detail: `After 'in' comes a list, and this is a ${typeName(list.type)}.`,
      fix: list.type.kind === 'text' ? 'Use contains(...) to look inside a text.' : "Write it as ['a', 'b'].",
    });
  if (needle.type.kind === 'null' || list.type.of.kind === 'null') return { kind: 'literal', type: { kind: 'boolean' }, value: false, ...span };
  const of = list.type.of;
  if (!areComparable(needle.type, of) || needle.type.kind === 'list') {
    return fail(scope, span, {
      code: 'type',
      detail: `'in' cannot look for ${typeName(needle.type)} in a ${typeName(list.type)}.`,
      fix: mixHint(needle.type, of),
    });
  }
  if (list.kind !== 'list') return { kind: 'in', type: { kind: 'boolean' }, needle: checkIdLiteral(scope, of, needle), list, ...span };
  const items = list.items.map((item) => checkIdLiteral(scope, needle.type, item));
  const isIds = valueType(needle.type).kind === 'uuid' && items.every((item) => valueType(item.type).kind === 'uuid');
  const checked: Expr = { ...list, items, type: isIds ? { kind: 'list', of: { kind: 'uuid' } } : list.type };
  return { kind: 'in', type: { kind: 'boolean' }, needle: checkIdLiteral(scope, of, needle), list: checked, ...span };
}

/** `list[n]`. */
export function checkIndex(scope: Scope, list: Expr, index: Expr, span: Span): Expr {
  if (list.type.kind === 'list') return callEntry(scope, 'at', [list, index], span);
  return fail(scope, list, {
    code: 'type',
    detail: `Only lists have positions in square brackets, and this is a ${typeName(list.type)}.`,
    fix: list.type.kind === 'text' ? 'Use substring(text, start, end).' : undefined,
  });
}

/** What can be asked of the elements of a list. */
export const LIST_OPERATORS: readonly ListOperator[] = ['exists', 'all', 'filter', 'map'];

/** The question that a name asks of the elements of a list, or null when it is the name of a function. */
export function listOperator(name: string): ListOperator | null {
  return LIST_OPERATORS.find((known) => known === name) ?? null;
}

/** `list.exists(x, condition)`, `.all`, `.filter`, `.map(x, value)`, `.map(x, value, condition)`. */
export function checkEach(scope: Scope, given: Expr, operator: ListOperator, args: readonly ASTNode[], span: Span): Expr {
  const list = settleList(given);
  if (list.type.kind !== 'list') return fail(scope, list, { code: 'type', detail: `${operator}(...) asks a list, and this is a ${typeName(list.type)}.` });
  const [nameNode, bodyNode, filterNode, ...more] = args;
  const takesValue = operator === 'map';
  if (nameNode?.op !== 'id' || bodyNode === undefined || more.length > 0 || (filterNode !== undefined && !takesValue)) {
    return fail(scope, span, {
      code: 'arguments',
      detail: `${operator} is written list.${operator}(x, ${takesValue ? 'value' : 'condition'})${takesValue ? ' or list.map(x, value, condition)' : ''}, where x is a name of your choice for one element.`,
    });
  }
  if (scope.items.has(nameNode.args))
    return fail(scope, nameNode, { code: 'name', detail: `'${nameNode.args}' already names something here.`, fix: 'Choose another name.' });
  const slot = scope.items.size;
  const element: ElementExpr = { kind: 'element', type: list.type.of, slot, start: nameNode.start, end: nameNode.end };
  const inner: Scope = { ...scope, items: new Map([...scope.items, [nameNode.args, element]]) };
  if (!takesValue) {
    const body2 = checkCondition(inner, bodyNode, `${operator}(...)`);
    return { kind: 'each', type: operator === 'filter' ? list.type : { kind: 'boolean' }, operator, list, slot, body: body2, ...span };
  }
  const body = inner.check(inner, bodyNode);
  const type = valueType(body.type);
  if (!isScalar(type)) return fail(scope, body, { code: 'type', detail: `map(...) gives a list of single values, and this is a ${typeName(body.type)}.` });
  const from: Expr =
    filterNode === undefined
      ? list
      : { kind: 'each', type: list.type, operator: 'filter', list, slot, body: checkCondition(inner, filterNode, 'The condition of map(...)'), ...span };
  return { kind: 'each', type: { kind: 'list', of: type }, operator, list: from, slot, body, ...span };
}
