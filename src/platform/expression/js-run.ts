import { plainDecimal, toDecimal } from './decimal.ts';
import type { JsOperators } from './js-operators.ts';
import { childrenOf, type Expr } from './tree.ts';
import type { EvalContext, ExprSchema, ExprType, ExprValue, Row } from './types.ts';

/**
 * A compiled node: the record at hand, the context, and the records and elements that the surrounding `exists` and the
 * like look at, by slot. Null for nothing, never undefined; numbers are Decimals.
 */
export type Run = (row: Row, context: EvalContext, items: unknown[]) => ExprValue;
/** Finds the row that a record of the tree means; null when it is not there. */
export type FindRow = (row: Row, context: EvalContext, items: unknown[]) => Row | null;

/** What the compilers of single nodes are given. */
export interface Surroundings {
  readonly schema: ExprSchema;
  readonly operators: JsOperators;
  readonly compile: (node: Expr) => Run;
}

/** Given to closures that have no slots. */
const NO_ITEMS: unknown[] = [];
Object.freeze(NO_ITEMS);

/** A new array of slots for each evaluation, or none when the tree has no use for it. */
export function itemsFor(tree: Expr): () => unknown[] {
  return hasSlots(tree) ? () => [] : () => NO_ITEMS;
}

function hasSlots(node: Expr): boolean {
  return node.kind === 'aggregate' || node.kind === 'each' || childrenOf(node).some(hasSlots);
}

/** Decimals as data; everything else as it is. */
export function plainValue(value: ExprValue): ExprValue {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(plainValue);
  const number = toDecimal(value);
  return number === null ? value : plainDecimal(number);
}

/** Reads a value as rows hold it into the form that operators take. */
export function reader(type: ExprType): (value: unknown) => ExprValue {
  if (type.kind === 'number') return toDecimal;
  if (type.kind === 'list') {
    const item = reader(type.of);
    return (value) => (Array.isArray(value) ? value.map(item) : null);
  }
  return (value) => value ?? null;
}

/** True for a row, false for lists and single values. */
export function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
