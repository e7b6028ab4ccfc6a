import type { ExprNode, ExprType, TypedExpression } from './types.ts';

interface Base extends ExprNode {
  readonly type: ExprType;
}

/** Nodes that stand for a record; read as a value they are its id. */
export type RecordExpr =
  | (Base & { readonly kind: 'root'; readonly object: string })
  /** The record that an `exists`, `count` ... looks at. */
  | (Base & { readonly kind: 'item'; readonly object: string; readonly slot: number })
  /** The record that a reference points to (live or in the trash). */
  | (Base & { readonly kind: 'follow'; readonly object: string; readonly of: RecordExpr; readonly field: string; readonly column: string })
  | (Base & { readonly kind: 'recordVariable'; readonly object: string; readonly name: string });

/** The value that a list's `exists`, `map` ... looks at. */
export type ElementExpr = Base & { readonly kind: 'element'; readonly slot: number };

export type AggregateOperator = 'exists' | 'all' | 'count' | 'sum' | 'min' | 'max' | 'avg' | 'map';
export type ListOperator = 'exists' | 'all' | 'filter' | 'map';
export type OrderOperator = '<' | '<=' | '>' | '>=';
export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%';

export type Expr =
  | RecordExpr
  | ElementExpr
  /** null, boolean, text (also days, instants, durations, ids), decimal, or a list of those. */
  | (Base & { readonly kind: 'literal'; readonly value: unknown })
  | (Base & { readonly kind: 'variable'; readonly name: string })
  | (Base & {
      readonly kind: 'field';
      readonly of: RecordExpr;
      readonly object: string;
      readonly name: string;
      readonly column: string;
      readonly sortColumn: string | null;
      /** An index holds the order of the sort keys. */
      readonly ordered: boolean;
    })
  | (Base & { readonly kind: 'formula'; readonly of: RecordExpr; readonly object: string; readonly name: string; readonly expression: TypedExpression })
  | (Base & { readonly kind: 'member'; readonly of: Expr; readonly name: string })
  | (Base & { readonly kind: 'struct'; readonly entries: readonly { readonly name: string; readonly value: Expr }[] })
  | (Base & { readonly kind: 'policy'; readonly name: string; readonly input: Expr; readonly asOf: Expr | null })
  | (Base & { readonly kind: 'not'; readonly operand: Expr })
  | (Base & { readonly kind: 'logic'; readonly operator: 'and' | 'or'; readonly items: readonly Expr[] })
  | (Base & { readonly kind: 'negate'; readonly operand: Expr })
  | (Base & { readonly kind: 'arithmetic'; readonly operator: ArithmeticOperator; readonly left: Expr; readonly right: Expr })
  | (Base & { readonly kind: 'concat'; readonly left: Expr; readonly right: Expr })
  | (Base & { readonly kind: 'equal'; readonly negated: boolean; readonly left: Expr; readonly right: Expr })
  /** Operands of one kind that has an order; `bySortKey` compares text fields by their sort keys. */
  | (Base & { readonly kind: 'order'; readonly operator: OrderOperator; readonly bySortKey: boolean; readonly left: Expr; readonly right: Expr })
  | (Base & { readonly kind: 'in'; readonly needle: Expr; readonly list: Expr })
  | (Base & { readonly kind: 'conditional'; readonly condition: Expr; readonly then: Expr; readonly otherwise: Expr })
  | (Base & { readonly kind: 'list'; readonly items: readonly Expr[] })
  | (Base & { readonly kind: 'coalesce'; readonly items: readonly Expr[] })
  | (Base & { readonly kind: 'isNull'; readonly negated: boolean; readonly operand: Expr })
  /** `entry` is the key in the function table. */
  | (Base & { readonly kind: 'call'; readonly entry: string; readonly args: readonly Expr[] })
  /** What `exists`, `all`, `filter` and `map` ask of the elements of a list. */
  | (Base & { readonly kind: 'each'; readonly operator: ListOperator; readonly list: Expr; readonly slot: number; readonly body: Expr })
  | (Base & {
      readonly kind: 'aggregate';
      readonly operator: AggregateOperator;
      readonly of: RecordExpr;
      /** Name of the to-many path, the object it leads to, and the reference there that points back. */
      readonly name: string;
      readonly object: string;
      readonly via: string;
      readonly viaColumn: string;
      readonly slot: number;
      readonly filter: Expr | null;
      readonly value: Expr | null;
    });

/** The one place where a contract's opaque tree becomes ours again: only `checkExpression` makes TypedExpressions. */
export function treeOf(expression: TypedExpression): Expr {
  return expression.tree as Expr;
}

/** The nodes right below a node (a formula's own tree is not below it). */
export function childrenOf(node: Expr): readonly Expr[] {
  switch (node.kind) {
    case 'root':
    case 'item':
    case 'element':
    case 'recordVariable':
    case 'literal':
    case 'variable':
      return [];
    case 'follow':
    case 'field':
    case 'formula':
    case 'member':
      return [node.of];
    case 'struct':
      return node.entries.map((entry) => entry.value);
    case 'policy':
      return node.asOf === null ? [node.input] : [node.input, node.asOf];
    case 'not':
    case 'negate':
    case 'isNull':
      return [node.operand];
    case 'logic':
    case 'list':
    case 'coalesce':
      return node.items;
    case 'arithmetic':
    case 'concat':
    case 'equal':
    case 'order':
      return [node.left, node.right];
    case 'in':
      return [node.needle, node.list];
    case 'conditional':
      return [node.condition, node.then, node.otherwise];
    case 'call':
      return node.args;
    case 'each':
      return [node.list, node.body];
    case 'aggregate':
      return [node.of, ...(node.filter === null ? [] : [node.filter]), ...(node.value === null ? [] : [node.value])];
  }
}

/** True when a node stands for a record. */
export function isRecordExpr(node: Expr): node is RecordExpr {
  return node.kind === 'root' || node.kind === 'item' || node.kind === 'follow' || node.kind === 'recordVariable';
}
