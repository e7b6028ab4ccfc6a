import type { Expr } from './tree.ts';
import type { ExprType } from './types.ts';

/** A type in the words of the people who write expressions. */
export function typeName(type: ExprType): string {
  switch (type.kind) {
    case 'boolean':
      return 'yes/no';
    case 'instant':
      return 'date and time';
    case 'uuid':
      return 'record id';
    case 'record':
      return `${type.object} record`;
    case 'list':
      return `list of ${typeName(type.of)}`;
    case 'struct':
      return 'set of values';
    default:
      return type.kind;
  }
}

/** The type of a parameter that is declared by its kind alone. */
export function simpleType(kind: ExprType['kind']): ExprType {
  switch (kind) {
    case 'list':
      return { kind, of: { kind: 'text' } };
    case 'record':
      return { kind, object: '' };
    case 'struct':
      return { kind, members: {} };
    default:
      return { kind };
  }
}

/** Type of a node read as a value: a record is its id. */
export function valueType(type: ExprType): ExprType {
  return type.kind === 'record' ? { kind: 'uuid' } : type;
}

/** True for the types of which lists can be made. */
export function isScalar(type: ExprType): boolean {
  return type.kind !== 'list' && type.kind !== 'struct' && type.kind !== 'json' && type.kind !== 'record' && type.kind !== 'null';
}

/** True when the types may be asked for equality. */
export function areComparable(left: ExprType, right: ExprType): boolean {
  const [first, second] = [valueType(left), valueType(right)];
  if (first.kind === 'null' || second.kind === 'null') return true;
  if (first.kind === 'struct' || first.kind === 'json' || second.kind === 'struct' || second.kind === 'json') return false;
  if (first.kind === 'list' && second.kind === 'list') return areComparable(first.of, second.of) && !hasText(first.of, second.of);
  if (first.kind === second.kind) return first.kind !== 'list';
  return hasText(first, second);
}

/** One side is text and the other is kept as text too (ids, durations). */
function hasText(first: ExprType, second: ExprType): boolean {
  const kinds = [first.kind, second.kind];
  return first.kind !== second.kind && kinds.includes('text') && (kinds.includes('uuid') || kinds.includes('duration'));
}

/** The common type of the branches of a conditional or coalesce, or null when they do not fit. */
export function unify(left: ExprType, right: ExprType): ExprType | null {
  const [first, second] = [valueType(left), valueType(right)];
  if (first.kind === 'null') return second;
  if (second.kind === 'null') return first;
  if (first.kind === 'list' && second.kind === 'list') {
    const of = unify(first.of, second.of);
    return of === null ? null : { kind: 'list', of };
  }
  return first.kind === second.kind && first.kind !== 'struct' && first.kind !== 'list' ? first : null;
}

/** Literal nulls (and the empty list) take the type that their place gives them. */
export function retype(node: Expr, type: ExprType): Expr {
  if (node.kind === 'literal' && (node.type.kind === 'null' || node.value === null)) return { ...node, type };
  return node.kind === 'list' ? retypeList(node, type) : node;
}

/** A list of which nothing says what it holds counts as one of texts. */
export function settleList(list: Expr): Expr {
  return list.type.kind === 'list' && list.type.of.kind === 'null' ? retypeList(list, { kind: 'list', of: { kind: 'text' } }) : list;
}

/** Gives a literal list of nulls (or of nothing) another type. */
export function retypeList(list: Expr, type: ExprType): Expr {
  if (list.kind !== 'list' || list.type.kind !== 'list' || list.type.of.kind !== 'null' || type.kind !== 'list') return list;
  return { ...list, type, items: list.items.map((item) => retype(item, type.of)) };
}

/** True when a value of `type` may be given where `wanted` is asked. */
export function fits(type: ExprType, wanted: ExprType['kind']): boolean {
  const value = valueType(type);
  return value.kind === wanted || value.kind === 'null' || (wanted === 'duration' && value.kind === 'text') || (wanted === 'text' && value.kind === 'uuid');
}

/** What to write when these two kinds were mixed. */
export function mixHint(left: ExprType, right: ExprType): string | undefined {
  const kinds = [valueType(left).kind, valueType(right).kind];
  const has = (kind: ExprType['kind']): boolean => kinds.includes(kind);
  if (has('instant') && has('date')) return "Write dayOf(...) to get the day of a date and time, or at(day, '08:00') for the other way round.";
  if (has('date') && has('text')) return "Write a day as date('2026-01-31').";
  if (has('instant') && has('text')) return "Write a date and time as instant('2026-01-31T14:00:00Z').";
  if (has('number') && has('text')) return 'Write number(...) to read a number from text, or text(...) for the other way round.';
  if (has('boolean')) return 'Use a yes/no value by itself: active, or !active.';
  if (has('list')) return "Write 'x in list' to look for one value in a list.";
  return undefined;
}
