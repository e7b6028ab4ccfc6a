import { toDecimal, type Decimal } from './decimal.ts';
import { compareValues } from './js-operators.ts';
import { compileId } from './js-records.ts';
import type { Run, Surroundings } from './js-run.ts';
import { childrenOf, type Expr } from './tree.ts';
import type { EvalContext, ExprType, ExprValue, Row } from './types.ts';
import { MAX_TEXT, codePoints, makeList, spend, spendText } from './work.ts';

type Aggregate = Extract<Expr, { kind: 'aggregate' }>;

/** Steps that looking at one record or element takes: the nodes of what is asked of it. */
function weightOf(node: Expr | null): number {
  return node === null ? 0 : childrenOf(node).reduce((sum, child) => sum + weightOf(child), 1);
}

/** A question about related records. */
export function compileAggregate(node: Aggregate, at: Surroundings): Run {
  const [id, object, via, slot] = [compileId(node.of), node.object, node.via, node.slot];
  const filter = node.filter === null ? null : at.compile(node.filter);
  const weight = weightOf(node.filter) + weightOf(node.value);
  const rowsOf = (row: Row, context: EvalContext, items: unknown[]): readonly Row[] => {
    const key = id(row, context, items);
    const found = typeof key === 'string' ? context.many(object, via, key) : [];
    spend(found.length * weight);
    return found;
  };
  if (node.operator === 'exists' || node.operator === 'all') {
    const stopsAt = node.operator === 'exists';
    return (row, context, items) => {
      for (const related of rowsOf(row, context, items)) {
        items[slot] = related;
        if ((filter === null || filter(row, context, items) === true) === stopsAt) return stopsAt;
      }
      return !stopsAt;
    };
  }
  const value = node.value === null ? null : at.compile(node.value);
  if (value === null) {
    return (row, context, items) => {
      let count = 0;
      for (const related of rowsOf(row, context, items)) {
        items[slot] = related;
        if (filter === null || filter(row, context, items) === true) count += 1;
      }
      return count;
    };
  }
  const fold = foldOf(node, at);
  return (row, context, items) => {
    const values: ExprValue[] = [];
    const related = rowsOf(row, context, items);
    for (const item of node.operator === 'map' ? byId(related) : related) {
      items[slot] = item;
      if (filter !== null && filter(row, context, items) !== true) continue;
      const next = value(row, context, items);
      if (next !== null) values.push(next);
    }
    return fold(values);
  };
}

/** In the order of their ids, in which they mostly come. */
function byId(rows: readonly Row[]): readonly Row[] {
  const ids = rows.map((row) => String(row['id']));
  return ids.every((id, index) => index === 0 || (ids[index - 1] ?? '') <= id)
    ? rows
    : [...rows].sort((left, right) => (String(left['id']) < String(right['id']) ? -1 : 1));
}

/** How the values that are not null become one: no values sum to 0; their least, greatest and average are null. */
function foldOf(node: Aggregate, at: Surroundings): (values: readonly ExprValue[]) => ExprValue {
  const { operators } = at;
  const decimals = (values: readonly ExprValue[]): readonly Decimal[] => values.map(toDecimal).filter((value) => value !== null);
  switch (node.operator) {
    case 'min':
    case 'max': {
      const [keeps, type] = [operators.keeps[node.operator], node.type];
      return (values) => values.reduce((best, next) => (best === null || keeps(compareValues(type, next, best)) ? next : best), null);
    }
    case 'sum':
      return (values) => operators.sum(decimals(values));
    case 'avg':
      return (values) => operators.avg(decimals(values));
    default: {
      const type = node.value?.type ?? node.type;
      return (values) => madeList(values, type);
    }
  }
}

/** A list that an expression made, or null when it or its texts together are too long. */
function madeList(values: readonly ExprValue[], of: ExprType): ExprValue {
  if (of.kind !== 'text') return makeList(values);
  let length = 0;
  for (const value of values) length += typeof value === 'string' ? codePoints(value) : 0;
  spendText(length);
  return length <= MAX_TEXT ? makeList(values) : null;
}

/** A question about the elements of a list. */
export function compileEach(node: Extract<Expr, { kind: 'each' }>, at: Surroundings): Run {
  const [list, body, slot] = [at.compile(node.list), at.compile(node.body), node.slot];
  const weight = weightOf(node.body);
  const elements = (row: Row, context: EvalContext, items: unknown[]): readonly ExprValue[] | null => {
    const found = list(row, context, items);
    if (!Array.isArray(found)) return null;
    spend(found.length * weight);
    return found;
  };
  switch (node.operator) {
    case 'exists':
    case 'all': {
      const stopsAt = node.operator === 'exists';
      return (row, context, items) => {
        for (const element of elements(row, context, items) ?? []) {
          items[slot] = element;
          if ((body(row, context, items) === true) === stopsAt) return stopsAt;
        }
        return !stopsAt;
      };
    }
    case 'filter':
      return (row, context, items) =>
        elements(row, context, items)?.filter((element) => {
          items[slot] = element;
          return body(row, context, items) === true;
        }) ?? null;
    case 'map': {
      const { type } = node.body;
      return (row, context, items) => {
        const values = elements(row, context, items)?.map((element) => {
          items[slot] = element;
          return body(row, context, items);
        });
        return values === undefined ? null : madeList(values, type);
      };
    }
  }
}
