import { describe } from './reads.ts';
import { compileTree } from './to-js.ts';
import { childrenOf, treeOf, type Expr } from './tree.ts';
import { valueType } from './type-rules.ts';
import type { EvalContext, ExprSchema, Row, TypedExpression } from './types.ts';

const NOTHING: Row = {};

/**
 * The expression with every part that rests on variables alone replaced by its value, so that the database can run what
 * is left. A part that mixes a variable's own related records with the row at hand stays, and with it its obstacle.
 */
export function bindVariables(expression: TypedExpression, schema: ExprSchema, context: EvalContext): TypedExpression {
  const tree = bind(treeOf(expression), schema, context);
  return { ...expression, tree, ...describe(tree, schema) };
}

/** Why a filter with variables could not run in the database once they are known; null when it can. */
export function boundObstacle(expression: TypedExpression, schema: ExprSchema): string | null {
  return describe(
    replace(treeOf(expression), (part) => ({ kind: 'literal', type: valueType(part.type), value: null, start: part.start, end: part.end })),
    schema,
  ).sqlObstacle;
}

function bind(node: Expr, schema: ExprSchema, context: EvalContext): Expr {
  return replace(node, (part) => ({
    kind: 'literal',
    type: valueType(part.type),
    value: compileTree(part, schema)(NOTHING, context),
    start: part.start,
    end: part.end,
  }));
}

function replace(node: Expr, made: (part: Expr) => Expr): Expr {
  if (!usesVariable(node)) return node;
  if (restsOnVariables(node, [])) return made(node);
  const to = (child: Expr): Expr => replace(child, made);
  switch (node.kind) {
    case 'not':
    case 'negate':
    case 'isNull':
      return { ...node, operand: to(node.operand) };
    case 'logic':
    case 'list':
    case 'coalesce':
      return { ...node, items: node.items.map(to) };
    case 'arithmetic':
    case 'concat':
    case 'equal':
    case 'order':
      return { ...node, left: to(node.left), right: to(node.right) };
    case 'in':
      return { ...node, needle: to(node.needle), list: to(node.list) };
    case 'conditional':
      return { ...node, condition: to(node.condition), then: to(node.then), otherwise: to(node.otherwise) };
    case 'call':
      return { ...node, args: node.args.map(to) };
    case 'struct':
      return { ...node, entries: node.entries.map((entry) => ({ ...entry, value: to(entry.value) })) };
    case 'each':
      return { ...node, list: to(node.list), body: to(node.body) };
    case 'aggregate':
      return { ...node, filter: node.filter === null ? null : to(node.filter), value: node.value === null ? null : to(node.value) };
    default:
      return node;
  }
}

function usesVariable(node: Expr): boolean {
  return node.kind === 'variable' || node.kind === 'recordVariable' || childrenOf(node).some(usesVariable);
}

/** True when nothing below depends on the row at hand, nor on an item of a surrounding `exists` or the like. */
function restsOnVariables(node: Expr, slots: readonly number[]): boolean {
  if (node.kind === 'root') return false;
  if (node.kind === 'item' || node.kind === 'element') return slots.includes(node.slot);
  if (node.kind === 'each') return restsOnVariables(node.list, slots) && restsOnVariables(node.body, [...slots, node.slot]);
  if (node.kind !== 'aggregate') return childrenOf(node).every((child) => restsOnVariables(child, slots));
  const inner = [...slots, node.slot];
  return restsOnVariables(node.of, slots) && [node.filter, node.value].every((part) => part === null || restsOnVariables(part, inner));
}
