import { divide, negate, plainDecimal, sumDecimals, toDecimal, type Decimal } from './decimal.ts';
import { compareValues, JS_OPERATORS, type JsOperators } from './js-operators.ts';
import { compareCodePoints, sortKey } from './sort-key.ts';
import { isRecordExpr, treeOf, type Expr, type RecordExpr } from './tree.ts';
import type { EvalContext, ExprSchema, ExprType, ExprValue, Row, TypedExpression } from './types.ts';

/** What a running closure sees: the root row, the context, and the records of the surrounding `exists` and the like. */
interface Frame {
  readonly row: Row;
  readonly context: EvalContext;
  readonly items: Row[];
}

type Run = (frame: Frame) => ExprValue;
type FindRow = (frame: Frame) => Row | null;

interface Surroundings {
  readonly schema: ExprSchema;
  readonly operators: JsOperators;
}

/**
 * Compiles to a closure. It never throws for any row: see `metadata.md`, "Expressions". Numbers come out as `number`
 * when they are safe integers, else as exact decimal text; records as their id. Related records are asked of the
 * context (`preload` fetches them). `many` must give live records only; `one` gives those in the trash too.
 */
export function compileJs(
  expression: TypedExpression,
  schema: ExprSchema,
  operators: JsOperators = JS_OPERATORS,
): (row: Row, context: EvalContext) => ExprValue {
  return compileTree(treeOf(expression), schema, operators);
}

/** As `compileJs`, for a part of an expression. */
export function compileTree(tree: Expr, schema: ExprSchema, operators: JsOperators = JS_OPERATORS): (row: Row, context: EvalContext) => ExprValue {
  const run = compile(tree, { schema, operators });
  if (tree.type.kind === 'boolean' || tree.type.kind === 'text') return (row, context) => run({ row, context, items: [] });
  return (row, context) => plainValue(run({ row, context, items: [] }));
}

/** Decimals as data; everything else as it is. */
function plainValue(value: ExprValue): ExprValue {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(plainValue);
  const number = toDecimal(value);
  return number === null ? value : plainDecimal(number);
}

/** Reads a value as rows hold it into the form that operators take. */
function reader(type: ExprType): (value: unknown) => ExprValue {
  if (type.kind === 'number') return toDecimal;
  if (type.kind === 'list') {
    const item = reader(type.of);
    return (value) => (Array.isArray(value) ? value.map(item) : null);
  }
  return (value) => value ?? null;
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function compile(node: Expr, at: Surroundings): Run {
  switch (node.kind) {
    case 'root':
    case 'item':
    case 'follow':
    case 'recordVariable':
      return compileId(node, at);
    case 'literal': {
      const value = node.value;
      return () => value;
    }
    case 'variable':
      return compileVariable(node.name, node.type);
    case 'field':
      return compileField(node, at);
    case 'formula':
      return compileFormula(node, at);
    case 'member': {
      const [of, read, name] = [compile(node.of, at), reader(node.type), node.name];
      return (frame) => {
        const struct = of(frame);
        return isRow(struct) ? read(struct[name]) : null;
      };
    }
    case 'struct':
      return compileStruct(node, at);
    case 'policy':
      return compilePolicy(node, at);
    case 'not': {
      const [operand, not] = [compile(node.operand, at), at.operators.not];
      return (frame) => not(operand(frame));
    }
    case 'logic':
      return compileLogic(node, at);
    case 'negate': {
      const operand = compile(node.operand, at);
      return (frame) => {
        const value = toDecimal(operand(frame));
        return value === null ? null : negate(value);
      };
    }
    case 'arithmetic':
      return compileArithmetic(node, at);
    case 'concat': {
      const [left, right, concat] = [compile(node.left, at), compile(node.right, at), at.operators.concat];
      return (frame) => {
        const [first, second] = [left(frame), right(frame)];
        return typeof first === 'string' && typeof second === 'string' ? concat(first, second) : null;
      };
    }
    case 'equal': {
      const [left, right, equal, negated] = [compile(node.left, at), compile(node.right, at), at.operators.equal, node.negated];
      return (frame) => equal(left(frame), right(frame)) !== negated;
    }
    case 'order':
      return compileOrder(node, at);
    case 'in': {
      const [needle, list, isIn] = [compile(node.needle, at), compile(node.list, at), at.operators.isIn];
      return (frame) => {
        const [value, values] = [needle(frame), list(frame)];
        return value !== null && Array.isArray(values) && isIn(value, values);
      };
    }
    case 'conditional': {
      const [condition, then, otherwise] = [compile(node.condition, at), compile(node.then, at), compile(node.otherwise, at)];
      return (frame) => (condition(frame) === true ? then(frame) : otherwise(frame));
    }
    case 'list': {
      const items = node.items.map((item) => compile(item, at));
      return (frame) => items.map((item) => item(frame));
    }
    case 'coalesce': {
      const items = node.items.map((item) => compile(item, at));
      return (frame) => {
        for (const item of items) {
          const value = item(frame);
          if (value !== null) return value;
        }
        return null;
      };
    }
    case 'isNull': {
      const [operand, negated] = [compile(node.operand, at), node.negated];
      return (frame) => (operand(frame) === null) !== negated;
    }
    case 'call':
      return compileCall(node, at);
    case 'aggregate':
      return compileAggregate(node, at);
  }
}

/** The id of a record: what a reference is as a value. The record itself need not be there. */
function compileId(node: RecordExpr, at: Surroundings): Run {
  if (node.kind === 'follow') {
    const [of, name] = [findRow(node.of, at), node.field];
    return (frame) => of(frame)?.[name] ?? null;
  }
  const find = findRow(node, at);
  return (frame) => find(frame)?.['id'] ?? null;
}

function findRow(node: RecordExpr, at: Surroundings): FindRow {
  switch (node.kind) {
    case 'root':
      return (frame) => frame.row;
    case 'item': {
      const slot = node.slot;
      return (frame) => frame.items[slot] ?? null;
    }
    case 'recordVariable': {
      const name = node.name;
      return (frame) => {
        const row = frame.context.variables?.[name];
        return isRow(row) ? row : null;
      };
    }
    case 'follow': {
      const [id, object] = [compileId(node, at), node.object];
      return (frame) => {
        const value = id(frame);
        return typeof value === 'string' ? frame.context.one(object, value) : null;
      };
    }
  }
}

function compileVariable(name: string, type: ExprType): Run {
  if (type.kind === 'uuid' && name === 'user') return (frame) => frame.context.user;
  if (type.kind === 'uuid' && name === 'subject') return (frame) => frame.context.subject;
  const read = reader(type);
  return (frame) => read(frame.context.variables?.[name]);
}

function compileField(node: Extract<Expr, { kind: 'field' }>, at: Surroundings): Run {
  const [name, read] = [node.name, reader(node.type)];
  if (name === 'id' && node.of.kind === 'follow') return compileId(node.of, at);
  const find = findRow(node.of, at);
  if (node.type.kind === 'number' || node.type.kind === 'list') return (frame) => read(find(frame)?.[name]);
  return (frame) => find(frame)?.[name] ?? null;
}

/** A formula is compiled in place and run with the record it belongs to as its root. */
function compileFormula(node: Extract<Expr, { kind: 'formula' }>, at: Surroundings): Run {
  const find = findRow(node.of, at);
  const run = compile(treeOf(node.expression), at);
  return (frame) => {
    const row = find(frame);
    return row === null ? null : run({ row, context: frame.context, items: [] });
  };
}

function compileStruct(node: Extract<Expr, { kind: 'struct' }>, at: Surroundings): Run {
  const entries = node.entries.map((entry) => [entry.name, compile(entry.value, at)] as const);
  return (frame) => Object.fromEntries(entries.map(([name, run]) => [name, plainValue(run(frame))]));
}

function compilePolicy(node: Extract<Expr, { kind: 'policy' }>, at: Surroundings): Run {
  const name = node.name;
  const input: Run = isRecordExpr(node.input) ? findRow(node.input, at) : compile(node.input, at);
  const asOf: Run = node.asOf === null ? (frame) => frame.context.today : compile(node.asOf, at);
  return (frame) => {
    const [row, day] = [input(frame), asOf(frame)];
    return isRow(row) && typeof day === 'string' ? frame.context.policy(name, row, day) : null;
  };
}

function compileLogic(node: Extract<Expr, { kind: 'logic' }>, at: Surroundings): Run {
  const items = node.items.map((item) => compile(item, at));
  const [first, second] = items;
  if (items.length === 2 && first !== undefined && second !== undefined) {
    if (node.operator === 'and') return (frame) => first(frame) === true && second(frame) === true;
    return (frame) => first(frame) === true || second(frame) === true;
  }
  if (node.operator === 'and') return (frame) => items.every((item) => item(frame) === true);
  return (frame) => items.some((item) => item(frame) === true);
}

function compileArithmetic(node: Extract<Expr, { kind: 'arithmetic' }>, at: Surroundings): Run {
  const [left, right, apply] = [compile(node.left, at), compile(node.right, at), at.operators.arithmetic[node.operator]];
  return (frame) => {
    const [first, second] = [toDecimal(left(frame)), toDecimal(right(frame))];
    return first === null || second === null ? null : apply(first, second);
  };
}

function compileOrder(node: Extract<Expr, { kind: 'order' }>, at: Surroundings): Run {
  const [left, right, decide, type] = [compile(node.left, at), compile(node.right, at), at.operators.order[node.operator], node.left.type];
  if (node.right.kind === 'literal' && type.kind === 'text' && typeof node.right.value === 'string') {
    const key = sortKey(node.right.value);
    return (frame) => {
      const value = left(frame);
      return typeof value === 'string' && decide(compareCodePoints(sortKey(value), key));
    };
  }
  if (type.kind === 'number') {
    return (frame) => {
      const [first, second] = [left(frame), right(frame)];
      if (typeof first === 'number' && typeof second === 'number') return decide(first - second);
      return first !== null && second !== null && decide(compareValues(type, first, second));
    };
  }
  return (frame) => {
    const [first, second] = [left(frame), right(frame)];
    return first !== null && second !== null && decide(compareValues(type, first, second));
  };
}

function compileCall(node: Extract<Expr, { kind: 'call' }>, at: Surroundings): Run {
  const entry = at.schema.functions.get(node.entry);
  if (entry === undefined) throw new RangeError(`The function table has lost ${node.entry}`);
  const { evaluate } = entry;
  const read = entry.result.kind === 'number' ? toDecimal : (value: ExprValue): ExprValue => value ?? null;
  const args = node.args.map((arg) => compile(arg, at));
  const [only] = args;
  if (args.length === 1 && only !== undefined) {
    return (frame) => {
      const value = only(frame);
      return value === null ? null : read(evaluate([value], frame.context));
    };
  }
  return (frame) => {
    const values = args.map((arg) => arg(frame));
    return values.includes(null) ? null : read(evaluate(values, frame.context));
  };
}

function compileAggregate(node: Extract<Expr, { kind: 'aggregate' }>, at: Surroundings): Run {
  const [id, object, via, slot] = [compileId(node.of, at), node.object, node.via, node.slot];
  const filter = node.filter === null ? null : compile(node.filter, at);
  const value = node.value === null ? null : compile(node.value, at);
  /** Calls `visit` with the truth of the filter for each record until it answers true. */
  const scan = (frame: Frame, visit: (passes: boolean) => boolean): void => {
    const key = id(frame);
    if (typeof key !== 'string') return;
    for (const row of frame.context.many(object, via, key)) {
      frame.items[slot] = row;
      if (visit(filter === null || filter(frame) === true)) return;
    }
  };
  if (node.operator === 'exists' || node.operator === 'all') {
    const stopsAt = node.operator === 'exists';
    return (frame) => {
      let stopped = false;
      scan(frame, (passes) => (stopped = passes === stopsAt));
      return stopped === stopsAt;
    };
  }
  if (value === null) {
    return (frame) => {
      let count = 0;
      scan(frame, (passes) => {
        if (passes) count += 1;
        return false;
      });
      return count;
    };
  }
  const fold = foldOf(node.operator, node.type);
  return (frame) => {
    const values: ExprValue[] = [];
    scan(frame, (passes) => {
      const next = passes ? value(frame) : null;
      if (next !== null) values.push(next);
      return false;
    });
    return fold(values);
  };
}

/** How the values that are not null become one: no values sum to 0; their least, greatest and average are null. */
function foldOf(operator: string, type: ExprType): (values: readonly ExprValue[]) => ExprValue {
  if (operator === 'min' || operator === 'max') {
    const keep = operator === 'min' ? -1 : 1;
    return (values) => values.reduce((best, next) => (best === null || Math.sign(compareValues(type, next, best)) === keep ? next : best), null);
  }
  const sum = (values: readonly ExprValue[]): Decimal | null => sumDecimals(values.map((value) => toDecimal(value)).filter((value) => value !== null));
  if (operator === 'sum') return sum;
  return (values) => {
    const total = sum(values);
    return total === null || values.length === 0 ? null : divide(total, values.length);
  };
}
