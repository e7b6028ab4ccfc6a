import { toDecimal } from './decimal.ts';
import { compareValues } from './js-operators.ts';
import type { Run, Surroundings } from './js-run.ts';
import { isConstantTree } from './reads.ts';
import { compareCodePoints, sortKey } from './sort-key.ts';
import type { Expr } from './tree.ts';
import type { ExprValue } from './types.ts';

type Comparison = Extract<Expr, { kind: 'equal' | 'order' }>;

/** Name of a field of the record at hand, which can be read without a closure of its own; null for anything else. */
function ownField(node: Expr): string | null {
  return node.kind === 'field' && node.of.kind === 'root' ? node.name : null;
}

/** The side that is a literal and the other one; null when neither or both are. */
function literalSide(node: Comparison): { readonly literal: Extract<Expr, { kind: 'literal' }>; readonly open: Expr; readonly isLeft: boolean } | null {
  const { left, right } = node;
  if (right.kind === 'literal' && left.kind !== 'literal') return { literal: right, open: left, isLeft: false };
  if (left.kind === 'literal' && right.kind !== 'literal') return { literal: left, open: right, isLeft: true };
  return null;
}

/**
 * A side of a comparison. What is the same for every row of an evaluation, such as `addDays(today(), 30)`, is computed
 * once for each day, instant and zone.
 */
function compileSide(node: Expr, at: Surroundings): Run {
  const run = at.compile(node);
  if (node.kind !== 'call' || !isConstantTree(node, at.schema) || usesCaller(node)) return run;
  let known: { readonly now: string; readonly today: string; readonly zone: string; readonly value: ExprValue } | null = null;
  return (row, context, items) => {
    const { now, today } = context;
    const zone = context.calendars.planZone;
    if (known === null || known.now !== now || known.today !== today || known.zone !== zone) known = { now, today, zone, value: run(row, context, items) };
    return known.value;
  };
}

function usesCaller(node: Extract<Expr, { kind: 'call' }>): boolean {
  return node.args.some((arg) => arg.kind === 'variable' || (arg.kind !== 'literal' && (arg.kind !== 'call' || usesCaller(arg))));
}

const DECIMAL_TEXT = /^-?\d+(\.\d+)?$/;

/** Sign of a row's number against a safe integer; NaN when it is none. Doubles differ as the decimals do that they stand for. */
function signAgainst(value: unknown, integer: number): number {
  if (typeof value === 'number') {
    const difference = value - integer;
    return difference - difference === 0 ? difference : Number.NaN;
  }
  if (typeof value === 'string' && DECIMAL_TEXT.test(value)) {
    const difference = Number(value) - integer;
    if (difference !== 0) return difference;
  }
  const exact = toDecimal(value);
  return exact === null ? Number.NaN : compareValues({ kind: 'number' }, exact, integer);
}

/** `==` and `!=`: a side that is known is looked at once. */
export function compileEqual(node: Extract<Expr, { kind: 'equal' }>, at: Surroundings): Run {
  const { negated } = node;
  const { equal, same } = at.operators;
  const sides = literalSide(node);
  const value = sides?.literal.value;
  if (sides !== null && (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number')) {
    const name = ownField(sides.open);
    if (name !== null && typeof value === 'number') return (row) => same(signAgainst(row[name], value), 0) !== negated;
    if (name !== null) return (row) => same(row[name], value) !== negated;
    const open = compileSide(sides.open, at);
    return (row, context, items) => same(open(row, context, items), value) !== negated;
  }
  const [left, right] = [compileSide(node.left, at), compileSide(node.right, at)];
  return (row, context, items) => equal(left(row, context, items), right(row, context, items)) !== negated;
}

/** `<` and its like; false with a null operand. */
export function compileOrder(node: Extract<Expr, { kind: 'order' }>, at: Surroundings): Run {
  const decide = at.operators.order[node.operator];
  const kind = node.left.type.kind;
  if (kind === 'text') return compileTextOrder(node, at, decide);
  const sides = literalSide(node);
  const value = sides?.literal.value;
  const name = sides === null ? null : ownField(sides.open);
  if (sides !== null && name !== null && typeof value === 'number') {
    return sides.isLeft ? (row) => decide(-signAgainst(row[name], value)) : (row) => decide(signAgainst(row[name], value));
  }
  if (sides !== null && name !== null && typeof value === 'string' && !sides.isLeft) {
    return (row) => {
      const own = row[name];
      return typeof own === 'string' && decide(own < value ? -1 : own === value ? 0 : 1);
    };
  }
  const [left, right] = [compileSide(node.left, at), compileSide(node.right, at)];
  if (kind === 'number') {
    const { type } = node.left;
    return (row, context, items) => {
      const [first, second] = [left(row, context, items), right(row, context, items)];
      if (typeof first === 'number' && typeof second === 'number') return decide(first - second);
      return first !== null && second !== null && decide(compareValues(type, first, second));
    };
  }
  return (row, context, items) => {
    const first = left(row, context, items);
    if (typeof first !== 'string') return false;
    const second = right(row, context, items);
    return typeof second === 'string' && decide(first < second ? -1 : first === second ? 0 : 1);
  };
}

/** Text by sort keys; that of a literal is made once. */
function compileTextOrder(node: Extract<Expr, { kind: 'order' }>, at: Surroundings, decide: (sign: number) => boolean): Run {
  const [left, right] = [compileKey(node.left, at), compileKey(node.right, at)];
  return (row, context, items) => {
    const [first, second] = [left(row, context, items), right(row, context, items)];
    return typeof first === 'string' && typeof second === 'string' && decide(compareCodePoints(first, second));
  };
}

function compileKey(node: Expr, at: Surroundings): Run {
  if (node.kind === 'literal') {
    const key = typeof node.value === 'string' ? sortKey(node.value) : null;
    return () => key;
  }
  const text = at.compile(node);
  return (row, context, items) => {
    const value = text(row, context, items);
    return typeof value === 'string' ? sortKey(value) : null;
  };
}

/** `in`; a list that is known becomes a set. */
export function compileIn(node: Extract<Expr, { kind: 'in' }>, at: Surroundings): Run {
  const { isIn, memberOf } = at.operators;
  const { list } = node;
  const needle = at.compile(node.needle);
  if (list.kind === 'list' && list.items.every((item) => item.kind === 'literal')) {
    const isMember = memberOf(list.items.map((item) => (item.kind === 'literal' ? item.value : null)));
    const name = ownField(node.needle);
    if (name !== null && node.needle.type.kind !== 'number') return (row) => isMember(row[name] ?? null);
    return (row, context, items) => isMember(needle(row, context, items));
  }
  const values = at.compile(list);
  return (row, context, items) => {
    const [value, found] = [needle(row, context, items), values(row, context, items)];
    return value !== null && Array.isArray(found) && isIn(value, found);
  };
}

/** `&&` and `||`; the right side is run only when it decides. */
export function compileLogic(node: Extract<Expr, { kind: 'logic' }>, at: Surroundings): Run {
  const parts = node.items.map((item) => at.compile(item));
  const [a, b, c] = parts;
  const isAnd = node.operator === 'and';
  if (parts.length === 2 && a !== undefined && b !== undefined) {
    if (isAnd) return (row, context, items) => a(row, context, items) === true && b(row, context, items) === true;
    return (row, context, items) => a(row, context, items) === true || b(row, context, items) === true;
  }
  if (parts.length === 3 && a !== undefined && b !== undefined && c !== undefined) {
    if (isAnd) return (row, context, items) => a(row, context, items) === true && b(row, context, items) === true && c(row, context, items) === true;
    return (row, context, items) => a(row, context, items) === true || b(row, context, items) === true || c(row, context, items) === true;
  }
  return (row, context, items) => {
    for (const part of parts) if ((part(row, context, items) === true) !== isAnd) return !isAnd;
    return isAnd;
  };
}
