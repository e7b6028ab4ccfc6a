import { ident, sql, type Sql } from '../sql.ts';
import type { SqlForms } from './sql-forms.sql.ts';
import type { Expr, RecordExpr } from './tree.ts';
import { valueType } from './type-rules.ts';
import type { ExprSchema, ExprType, ExprValue, SqlContext } from './types.ts';

/** The records and elements that names mean at one place of the statement: their aliases. */
export interface Place {
  readonly root: string;
  readonly items: readonly string[];
}

/** What the compilers of single nodes are given. */
export interface Target {
  readonly schema: ExprSchema;
  readonly context: SqlContext;
  readonly forms: SqlForms;
  /** A fresh alias. */
  readonly alias: () => string;
  /** Evaluates what depends on no row. */
  readonly constant: (node: Expr) => ExprValue;
  /** The exact value of a node, null included. */
  readonly value: (node: Expr, place: Place) => Sql;
  /** A condition whose null means false. */
  readonly predicate: (node: Expr, place: Place) => Sql;
}

/** True for a record that stands in the statement under a name of its own. */
export function isAliased(node: RecordExpr): boolean {
  return node.kind !== 'follow';
}

/** Alias of a record that has one. */
export function aliasOf(node: RecordExpr, place: Place): string {
  if (node.kind === 'root') return place.root;
  const alias = node.kind === 'item' ? place.items[node.slot] : undefined;
  if (alias === undefined) throw new RangeError(`A ${node.kind} has no alias here`);
  return alias;
}

/** A column of a record; null means its id, which a reference holds itself. */
export function column(of: RecordExpr, name: string | null, target: Target, place: Place): Sql {
  if (name === null) return idOf(of, target, place);
  return isAliased(of) ? ident(aliasOf(of, place), name) : scalar(of, target, place, (alias) => ident(alias, name));
}

/** The id of a record. */
export function idOf(node: RecordExpr, target: Target, place: Place): Sql {
  return node.kind === 'follow' ? column(node.of, node.column, target, place) : ident(aliasOf(node, place), 'id');
}

/** Something of the record that a reference leads to; null when it leads nowhere. */
export function scalar(of: RecordExpr, target: Target, place: Place, body: (alias: string) => Sql): Sql {
  const alias = target.alias();
  return sql`(select ${body(alias)} from ${target.schema.table(of.object)} ${ident(alias)} where ${ident(alias, 'id')} = ${idOf(of, target, place)})`;
}

/** A condition on one record's column that null cannot fulfil: over references it becomes EXISTS, which can be turned into a join. */
export function onRecord(of: RecordExpr, target: Target, place: Place, condition: (alias: string) => Sql): Sql {
  if (of.kind !== 'follow') return condition(aliasOf(of, place));
  const { object, column: reference } = of;
  return onRecord(of.of, target, place, (parent) => {
    const alias = target.alias();
    return sql`exists (select 1 from ${target.schema.table(object)} ${ident(alias)} where ${ident(alias, 'id')} = ${ident(parent, reference)} and ${condition(alias)})`;
  });
}

/** A node as an operand of a comparison: bare columns stay bare, so that indexes serve. */
export function operand(node: Expr, target: Target, place: Place): Sql {
  if (node.kind !== 'field') return target.value(node, place);
  return column(node.of, node.name === 'id' ? null : node.column, target, place);
}

/** The two sides of a text comparison where one is kept as an id: both as text. */
export function asText(side: Sql, own: ExprType, other: ExprType): Sql {
  return valueType(own).kind === 'uuid' && valueType(other).kind !== 'uuid' ? sql`(${side}::text collate "C")` : side;
}
