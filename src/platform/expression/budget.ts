import type { ExpressionProblem } from './source.ts';
import { textSizeOf, type TextSize } from './text-size.ts';
import { childrenOf, treeOf, type Expr } from './tree.ts';
import type { TypedExpression } from './types.ts';

/**
 * What an expression may measure with the formulas in it; the text alone is limited by `LIMITS` of `source.ts`. The depth
 * is what PostgreSQL plans in 40 ms (700 levels take it 2.6 s), the rest what nobody has come near.
 */
export const BUDGET = {
  /** Nodes of the tree. */
  nodes: 6000,
  /** Operators and calls in one another. */
  depth: 100,
  /** To-many paths asked by `exists`, `count`, `sum` ... */
  relations: 40,
  /** Such questions in one another. */
  relationDepth: 4,
  /** `exists`, `all`, `filter` and `map` over lists in one another. */
  listDepth: 2,
  /** Characters that text functions handle for one record: about 10 ms of PostgreSQL. */
  text: 2_000_000,
} as const;

type Measures = Readonly<Record<keyof typeof BUDGET, number>> & TextSize;

const measured = new WeakMap<TypedExpression, Measures>();

function measureExpression(expression: TypedExpression): Measures {
  const known = measured.get(expression);
  if (known !== undefined) return known;
  const found = measure(treeOf(expression));
  measured.set(expression, found);
  return found;
}

function measure(node: Expr, known: Map<Expr, Measures> = new Map()): Measures {
  const found = known.get(node) ?? measureNode(node, known);
  known.set(node, found);
  return found;
}

function measureNode(node: Expr, known: Map<Expr, Measures>): Measures {
  const below = childrenOf(node).map((child) => measure(child, known));
  if (node.kind === 'formula') below.push(measureExpression(node.expression));
  const sum = (name: keyof Measures): number => below.reduce((total, part) => total + part[name], 0);
  const most = (name: keyof Measures): number => below.reduce((best, part) => Math.max(best, part[name]), 0);
  const size = node.kind === 'formula' ? measureExpression(node.expression) : textSizeOf(node, (child) => measure(child, known));
  return {
    nodes: sum('nodes') + 1,
    depth: most('depth') + 1,
    relations: sum('relations') + (node.kind === 'aggregate' ? 1 : 0),
    relationDepth: most('relationDepth') + (node.kind === 'aggregate' ? 1 : 0),
    listDepth: most('listDepth') + (node.kind === 'each' ? 1 : 0),
    length: size.length,
    text: size.text,
  };
}

const PROBLEMS: Readonly<Record<keyof typeof BUDGET, (found: number) => ExpressionProblem>> = {
  nodes: (found) => ({
    code: 'too_large',
    detail: `With its formulas the expression has ${String(found)} parts; ${String(BUDGET.nodes)} are allowed.`,
    fix: 'Use fewer formulas inside formulas.',
  }),
  depth: (found) => ({
    code: 'too_deep',
    detail: `With its formulas the expression goes ${String(found)} levels deep; ${String(BUDGET.depth)} are allowed.`,
    fix: "Use round brackets less, sum([a, b, ...]) or join([a, b, ...], '') instead of long chains of +, or a formula field for a part.",
  }),
  relations: (found) => ({
    code: 'too_many_relations',
    detail: `With its formulas the expression asks related records ${String(found)} times; ${String(BUDGET.relations)} are allowed.`,
    fix: 'Keep what is asked often in a roll-up field.',
  }),
  relationDepth: (found) => ({
    code: 'too_many_relations',
    detail: `Questions about related records stand ${String(found)} deep in one another; ${String(BUDGET.relationDepth)} are allowed.`,
    fix: 'Keep the inner one in a roll-up field.',
  }),
  listDepth: (found) => ({
    code: 'too_many_lists',
    detail: `Questions about lists stand ${String(found)} deep in one another; ${String(BUDGET.listDepth)} are allowed.`,
    fix: 'Use containsAny, containsAll, intersect or except.',
  }),
  text: (found) => ({
    code: 'too_costly',
    detail: `For one record the expression handles up to ${found.toLocaleString('en-US')} characters; ${BUDGET.text.toLocaleString('en-US')} are allowed.`,
    fix: 'Let replace, padLeft, padRight, join and + make shorter texts, or stand less often in one another.',
  }),
};

/** What is too much about a tree, with the innermost part that is so already; null when all is within the budget. */
export function overBudget(tree: Expr): { readonly node: Expr; readonly problem: ExpressionProblem } | null {
  const known = new Map<Expr, Measures>();
  const whole = measure(tree, known);
  for (const name of ['depth', 'nodes', 'relations', 'relationDepth', 'listDepth', 'text'] as const) {
    if (whole[name] <= BUDGET[name]) continue;
    let node = tree;
    for (;;) {
      const next = childrenOf(node).find((child) => measure(child, known)[name] > BUDGET[name]);
      if (next === undefined) break;
      node = next;
    }
    return { node, problem: PROBLEMS[name](whole[name]) };
  }
  return null;
}
