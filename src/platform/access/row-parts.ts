import { childrenOf, treeOf, type Expr } from '../expression/tree.ts';
import type { TypedExpression } from '../expression/types.ts';
import type { Rights } from './rights.ts';

const known = new WeakMap<Rights, readonly TypedExpression[] | null>();

/**
 * The row rules of a caller as the single conditions of which one must hold: `a || b` is two. Null unless there are several and
 * each is about the caller (their own, their team's, shared with them), for only such conditions are likely to find few rows.
 */
export function callerParts(rights: Rights): readonly TypedExpression[] | null {
  const found = known.get(rights);
  if (found !== undefined) return found;
  const parts = rights.readGrants.flatMap(({ read }) => (read.kind === 'where' ? partsOf(read.expression) : []));
  const isAll = rights.readGrants.some(({ read }) => read.kind === 'all');
  const made = !isAll && parts.length > 1 && parts.every((part) => namesCaller(treeOf(part))) ? parts : null;
  known.set(rights, made);
  return made;
}

function partsOf(expression: TypedExpression): readonly TypedExpression[] {
  const tree = treeOf(expression);
  if (tree.kind !== 'logic' || tree.operator !== 'or') return [expression];
  return tree.items.flatMap((item) => partsOf({ ...expression, tree: item }));
}

function namesCaller(node: Expr): boolean {
  return (node.kind === 'variable' && (node.name === 'user' || node.name === 'subject')) || childrenOf(node).some(namesCaller);
}
