import { negate, toDecimal } from './decimal.ts';
import { compileAggregate, compileEach } from './js-collections.ts';
import { compileEqual, compileIn, compileLogic, compileOrder } from './js-compare.ts';
import { JS_OPERATORS, type JsOperators } from './js-operators.ts';
import { compileField, compileFormula, compileId, compileMember, compilePolicy, compileStruct, compileVariable } from './js-records.ts';
import { itemsFor, plainValue, type Run, type Surroundings } from './js-run.ts';
import { treeOf, type Expr } from './tree.ts';
import type { EvalContext, ExprSchema, ExprValue, Row, TypedExpression } from './types.ts';
import { beginWork } from './work.ts';

/**
 * Compiles to a closure. It never fails for any row, but for more work than one evaluation may do (`work.ts`). Numbers come
 * out as `number` when they are safe integers, else as exact decimal text; records as their id. Related records are asked of
 * the context (`preload` fetches them). `many` must give live records only; `one` gives those in the trash too.
 */
export function compileJs(
  expression: TypedExpression,
  schema: ExprSchema,
  operators: JsOperators = JS_OPERATORS,
): (row: Row, context: EvalContext) => ExprValue {
  return compileTree(treeOf(expression), schema, operators, expression.text);
}

/** As `compileJs`, for a part of an expression. */
export function compileTree(tree: Expr, schema: ExprSchema, operators: JsOperators = JS_OPERATORS, text = ''): (row: Row, context: EvalContext) => ExprValue {
  const at: Surroundings = { schema, operators, compile: (node) => compile(node, at) };
  const [run, makeItems] = [at.compile(tree), itemsFor(tree)];
  const evaluate = (row: Row, context: EvalContext): ExprValue => {
    beginWork(text);
    return run(row, context, makeItems());
  };
  if (tree.type.kind === 'boolean' || tree.type.kind === 'text') return evaluate;
  return (row, context) => plainValue(evaluate(row, context));
}

function compile(node: Expr, at: Surroundings): Run {
  switch (node.kind) {
    case 'root':
    case 'item':
    case 'follow':
    case 'recordVariable':
      return compileId(node);
    case 'element': {
      const slot = node.slot;
      return (_row, _context, items) => items[slot] ?? null;
    }
    case 'literal': {
      const value = node.value;
      return () => value;
    }
    case 'variable':
      return compileVariable(node.name, node.type);
    case 'field':
      return compileField(node);
    case 'formula':
      return compileFormula(node, at);
    case 'member':
      return compileMember(node, at);
    case 'struct':
      return compileStruct(node, at);
    case 'policy':
      return compilePolicy(node, at);
    case 'not': {
      const [operand, not] = [at.compile(node.operand), at.operators.not];
      return (row, context, items) => not(operand(row, context, items));
    }
    case 'logic':
      return compileLogic(node, at);
    case 'negate': {
      const operand = at.compile(node.operand);
      return (row, context, items) => {
        const value = toDecimal(operand(row, context, items));
        return value === null ? null : negate(value);
      };
    }
    case 'arithmetic':
      return compileArithmetic(node, at);
    case 'concat': {
      const [left, right, concat] = [at.compile(node.left), at.compile(node.right), at.operators.concat];
      return (row, context, items) => {
        const [first, second] = [left(row, context, items), right(row, context, items)];
        return typeof first === 'string' && typeof second === 'string' ? concat(first, second) : null;
      };
    }
    case 'equal':
      return compileEqual(node, at);
    case 'order':
      return compileOrder(node, at);
    case 'in':
      return compileIn(node, at);
    case 'conditional': {
      const [condition, then, otherwise] = [at.compile(node.condition), at.compile(node.then), at.compile(node.otherwise)];
      return (row, context, items) => (condition(row, context, items) === true ? then(row, context, items) : otherwise(row, context, items));
    }
    case 'list': {
      const parts = node.items.map((item) => at.compile(item));
      return (row, context, items) => parts.map((part) => part(row, context, items));
    }
    case 'coalesce': {
      const parts = node.items.map((item) => at.compile(item));
      return (row, context, items) => {
        for (const part of parts) {
          const value = part(row, context, items);
          if (value !== null) return value;
        }
        return null;
      };
    }
    case 'isNull': {
      const [operand, negated] = [at.compile(node.operand), node.negated];
      return (row, context, items) => (operand(row, context, items) === null) !== negated;
    }
    case 'call':
      return compileCall(node, at);
    case 'each':
      return compileEach(node, at);
    case 'aggregate':
      return compileAggregate(node, at);
  }
}

function compileArithmetic(node: Extract<Expr, { kind: 'arithmetic' }>, at: Surroundings): Run {
  const [left, right, apply] = [at.compile(node.left), at.compile(node.right), at.operators.arithmetic[node.operator]];
  const known: unknown = node.right.kind === 'literal' ? node.right.value : null;
  if (typeof known === 'number') {
    return (row, context, items) => {
      const value = left(row, context, items);
      if (typeof value === 'number') return apply(value, known);
      const exact = toDecimal(value);
      return exact === null ? null : apply(exact, known);
    };
  }
  return (row, context, items) => {
    const first = left(row, context, items);
    const second = right(row, context, items);
    if (typeof first === 'number' && typeof second === 'number') return apply(first, second);
    const [exactFirst, exactSecond] = [toDecimal(first), toDecimal(second)];
    return exactFirst === null || exactSecond === null ? null : apply(exactFirst, exactSecond);
  };
}

function compileCall(node: Extract<Expr, { kind: 'call' }>, at: Surroundings): Run {
  const entry = at.schema.functions.get(node.entry);
  if (entry === undefined) throw new RangeError(`The function table has lost ${node.entry}`);
  const { evaluate } = entry;
  const read = node.type.kind === 'number' ? toDecimal : orNull;
  const args = node.args.map((arg) => at.compile(arg));
  const [a, b] = args;
  if (args.length === 1 && a !== undefined) {
    return (row, context, items) => {
      const value = a(row, context, items);
      return value === null ? null : read(evaluate([value], context));
    };
  }
  const known: unknown = node.args[1]?.kind === 'literal' ? node.args[1].value : null;
  if (args.length === 2 && a !== undefined && known !== null) {
    return (row, context, items) => {
      const value = a(row, context, items);
      return value === null ? null : read(evaluate([value, known], context));
    };
  }
  if (args.length === 2 && a !== undefined && b !== undefined) {
    return (row, context, items) => {
      const first = a(row, context, items);
      if (first === null) return null;
      const second = b(row, context, items);
      return second === null ? null : read(evaluate([first, second], context));
    };
  }
  return (row, context, items) => {
    const values: ExprValue[] = [];
    for (const arg of args) {
      const value = arg(row, context, items);
      if (value === null) return null;
      values.push(value);
    }
    return read(evaluate(values, context));
  };
}

function orNull(value: ExprValue): ExprValue {
  return value ?? null;
}
