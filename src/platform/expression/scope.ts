import type { ASTNode } from '@marcbachmann/cel-js';
import { expressionError, type ExpressionProblem, type Span } from './source.ts';
import type { ElementExpr, Expr, RecordExpr } from './tree.ts';
import { retype, typeName } from './type-rules.ts';
import type { ExprSchema, ExprType } from './types.ts';

/** What the checker knows at one place of the text. */
export interface Scope {
  readonly text: string;
  readonly schema: ExprSchema;
  readonly object: string | null;
  readonly variables: Readonly<Record<string, ExprType>>;
  /** Names given by `exists(l, ...)` and the like: of records, or of the elements of lists. */
  readonly items: ReadonlyMap<string, RecordExpr | ElementExpr>;
  /** The checker of one node, handed on so that its parts need not import it. */
  readonly check: (scope: Scope, node: ASTNode) => Expr;
}

/** Throws the error for a place in the text. */
export function fail(scope: Scope, span: Span, problem: ExpressionProblem): never {
  throw expressionError(scope.text, span, problem);
}

/** The root record, when there is one. */
export function rootRecord(scope: Scope, span: Span): RecordExpr | null {
  return scope.object === null ? null : { kind: 'root', object: scope.object, type: { kind: 'record', object: scope.object }, ...span };
}

/** Checks a node that must be a condition. */
export function checkCondition(scope: Scope, node: ASTNode, place: string): Expr {
  const condition = retype(scope.check(scope, node), { kind: 'boolean' });
  if (condition.type.kind !== 'boolean') {
    fail(scope, condition, {
      code: 'type',
      detail: `${place} takes a condition (yes/no), and this is a ${typeName(condition.type)}.`,
      fix: 'Compare it with something, such as != null.',
    });
  }
  return condition;
}
