import type { ASTNode } from '@marcbachmann/cel-js';
import { checkCondition, fail, rootRecord, type Scope } from './scope.ts';
import type { Span } from './source.ts';
import { didYouMean } from './suggest.ts';
import { isRecordExpr, type AggregateOperator, type Expr, type RecordExpr } from './tree.ts';
import { isScalar, simpleType, typeName, valueType } from './type-rules.ts';
import type { ExprType } from './types.ts';

/** A to-many path as it stands in the text. */
export interface ManyPath {
  readonly of: RecordExpr;
  readonly name: string;
  readonly object: string;
  readonly via: string;
  readonly viaColumn: string;
}

const OPERATORS: readonly AggregateOperator[] = ['exists', 'all', 'count', 'sum', 'min', 'max', 'avg', 'map'];
const ORDERED: readonly ExprType['kind'][] = ['number', 'date', 'instant'];

/** The to-many path that a node names (`licenses`, `provider.licenses`, `l.documents`), or null when it is something else. */
export function manyPath(scope: Scope, node: ASTNode): ManyPath | null {
  const place = placeOf(scope, node);
  if (place === null) return null;
  const field = scope.schema.object(place.of.object)?.fields.get(place.name);
  if (field?.kind !== 'many') return null;
  const back = scope.schema.object(field.object)?.fields.get(field.via);
  // A reference to one of several objects is a plain id here; ids are unique over all objects.
  if (back?.kind !== 'one' && back?.kind !== 'value')
    throw new RangeError(`The schema's path ${place.of.object}.${field.name} names no reference ${field.object}.${field.via}`);
  return { of: place.of, name: field.name, object: field.object, via: field.via, viaColumn: back.column };
}

function placeOf(scope: Scope, node: ASTNode): { readonly of: RecordExpr; readonly name: string } | null {
  if (node.op === 'id') {
    const isHidden = scope.items.has(node.args) || Object.hasOwn(scope.variables, node.args);
    const root = isHidden ? null : rootRecord(scope, { start: node.start, end: node.end });
    return root === null ? null : { of: root, name: node.args };
  }
  if (node.op !== '.' || !isDotted(node.args[0]) || manyPath(scope, node.args[0]) !== null) return null;
  const of = scope.check(scope, node.args[0]);
  return isRecordExpr(of) ? { of, name: node.args[1] } : null;
}

/** Names joined by dots: only those can be paths, and they are cheap to look at twice. */
function isDotted(node: ASTNode): boolean {
  return node.op === 'id' || (node.op === '.' && isDotted(node.args[0]));
}

/** `place` is where the name stands. `path.exists(l, condition)`, `.all`, `.count()`, `.count(l, condition)`, `.sum(l, value)`, `.sum(l, value, condition)` and so on. */
export function checkAggregate(scope: Scope, many: ManyPath, name: string, args: readonly ASTNode[], span: Span, place: Span): Expr {
  const operator = OPERATORS.find((known) => known === name);
  if (operator === undefined)
    return fail(scope, place, {
      code: 'unknown_function',
      detail: `'${name}' cannot be asked of the many ${many.object} records of '${many.name}'.`,
      fix: didYouMean(name, OPERATORS) ?? `Known are ${OPERATORS.join(', ')}.`,
    });
  const slot = scope.items.size;
  const base = { kind: 'aggregate', operator, ...many, slot, ...span } as const;
  if (operator === 'count' && args.length === 0) return { ...base, type: { kind: 'number' }, filter: null, value: null };
  const [itemNode, firstNode, secondNode, ...more] = args;
  const takesValue = operator !== 'exists' && operator !== 'all' && operator !== 'count';
  if (itemNode?.op !== 'id' || firstNode === undefined || more.length > 0 || (secondNode !== undefined && !takesValue)) {
    return fail(scope, span, {
      code: 'arguments',
      detail: `${name} is written ${many.name}.${name}(x, ${takesValue ? 'value' : 'condition'})${takesValue ? `, or ${many.name}.${name}(x, value, condition)` : ''}, where x is a name of your choice for one ${many.object}.`,
    });
  }
  if (scope.items.has(itemNode.args))
    return fail(scope, itemNode, { code: 'name', detail: `'${itemNode.args}' already names something here.`, fix: 'Choose another name.' });
  const item: RecordExpr = { kind: 'item', type: { kind: 'record', object: many.object }, object: many.object, slot, start: itemNode.start, end: itemNode.end };
  const inner: Scope = { ...scope, items: new Map([...scope.items, [itemNode.args, item]]) };
  if (!takesValue) {
    const filter = checkCondition(inner, firstNode, `${name}(...)`);
    return { ...base, type: { kind: operator === 'count' ? 'number' : 'boolean' }, filter, value: null };
  }
  const value = inner.check(inner, firstNode);
  const type = valueType(value.type);
  if (operator === 'map') {
    if (!isScalar(type)) fail(scope, value, { code: 'type', detail: `map(...) gives a list of single values, and this is a ${typeName(value.type)}.` });
  } else checkAggregated(scope, name, value);
  const filter = secondNode === undefined ? null : checkCondition(inner, secondNode, `The condition of ${name}(...), which comes last,`);
  return { ...base, type: operator === 'map' ? { kind: 'list', of: type } : type, filter, value };
}

function checkAggregated(scope: Scope, name: string, value: Expr): void {
  const allowed = name === 'sum' || name === 'avg' ? ORDERED.slice(0, 1) : ORDERED;
  if (allowed.includes(value.type.kind)) return;
  fail(scope, value, {
    code: 'type',
    detail: `${name}(...) works on ${allowed.map((kind) => typeName(simpleType(kind))).join(', ')}, and this is a ${typeName(value.type)}.`,
    fix: value.type.kind === 'boolean' ? `The condition comes last: ${name}(x, value, condition).` : undefined,
  });
}
