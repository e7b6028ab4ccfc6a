import { ident, keyword, sql, type Sql } from '../sql.ts';
import { toDecimal } from './decimal.ts';
import { isConstantTree } from './reads.ts';
import { sortKey, sortKeyStart } from './sort-key.ts';
import { asText, column, isAliased, onRecord, operand, type Place, type Target } from './sql-records.sql.ts';
import { comparedNumberSql, constantSql, sqlTypeOf } from './sql-values.sql.ts';
import type { Expr } from './tree.ts';
import { valueType } from './type-rules.ts';
import type { ExprType, ExprValue } from './types.ts';

/** Gives `compare` the left side as cheaply as the node allows. */
function compared(node: Expr, target: Target, place: Place, name: string | null, compare: (left: Sql) => Sql): Sql {
  if (node.kind === 'field' && node.of.kind === 'follow' && name !== null && node.name !== 'id')
    return onRecord(node.of, target, place, (alias) => compare(ident(alias, name)));
  if (node.kind === 'field' && name !== null) return compare(column(node.of, node.name === 'id' ? null : name, target, place));
  return compare(target.value(node, place));
}

/** `a == b`, `a != b` as a predicate. */
export function equality(node: Extract<Expr, { kind: 'equal' }>, target: Target, place: Place): Sql {
  const { forms, schema } = target;
  const [left, right] = isConstantTree(node.left, schema) ? [node.right, node.left] : [node.left, node.right];
  if (!isConstantTree(right, schema)) {
    const [first, second] = [asText(operand(left, target, place), left.type, right.type), asText(operand(right, target, place), right.type, left.type)];
    return node.negated ? forms.notSame(first, second) : forms.same(first, second);
  }
  const constant = target.constant(right);
  if (constant === null) return node.negated ? sql`(${operand(left, target, place)} is not null)` : sql`(${operand(left, target, place)} is null)`;
  const bound = asText(boundFor(left, constant, right.type), right.type, left.type);
  if (node.negated) return forms.notSame(asText(operand(left, target, place), left.type, right.type), bound);
  return compared(left, target, place, left.kind === 'field' ? left.column : null, (side) => forms.equalKnown(asText(side, left.type, right.type), bound));
}

/** A constant beside a column or other value. */
function boundFor(other: Expr, constant: ExprValue, type: ExprType): Sql {
  return other.kind === 'field' && type.kind === 'number' ? comparedNumberSql(numberOf(constant)) : constantSql(constant, type);
}

function numberOf(constant: ExprValue): ExprValue {
  return Array.isArray(constant) ? constant.map((item) => toDecimal(item)) : toDecimal(constant);
}

/** `a < b` as a predicate. */
export function ordering(node: Extract<Expr, { kind: 'order' }>, target: Target, place: Place): Sql {
  const compare = target.forms.order[node.operator];
  const [leftName, rightName] = [node.left, node.right].map((side2) => (side2.kind === 'field' ? (node.bySortKey ? side2.sortColumn : side2.column) : null));
  const isLeftConstant = isConstantTree(node.left, target.schema);
  if (isLeftConstant || isConstantTree(node.right, target.schema)) {
    const [known, open, name] = isLeftConstant ? [node.left, node.right, rightName] : [node.right, node.left, leftName];
    const constant = target.constant(known);
    if (constant === null) return keyword('false');
    const bound = node.bySortKey ? constantSql(sortKey(String(constant)), known.type) : boundFor(open, constant, known.type);
    return compared(open, target, place, name ?? null, (side2) => (isLeftConstant ? compare(bound, side2) : compare(side2, bound)));
  }
  const side = (part: Expr, name: string | null | undefined): Sql =>
    part.kind === 'field' && name !== null && name !== undefined ? column(part.of, part.name === 'id' ? null : name, target, place) : target.value(part, place);
  return compare(side(node.left, leftName), side(node.right, rightName));
}

/**
 * `startsWith` of a field whose order an index holds, as a predicate; null for any other. Its sort key begins as the text does, so that
 * PostgreSQL reads that stretch of the index, in the order of a list. The condition itself stands where PostgreSQL does not guess from it
 * how many records are left: it would count the same thing twice, and read and sort them all.
 */
export function beginning(node: Extract<Expr, { kind: 'call' }>, target: Target, place: Place): Sql | null {
  const [text, part] = node.args;
  if (node.entry !== 'startsWith' || text?.kind !== 'field' || text.sortColumn === null || !text.ordered || !isAliased(text.of)) return null;
  if (part === undefined || !isConstantTree(part, target.schema)) return null;
  const start = target.constant(part);
  const key = typeof start === 'string' ? sortKeyStart(start) : '';
  if (key === '') return null;
  const stretch = sql`starts_with(${column(text.of, text.sortColumn, target, place)}, ${constantSql(key, part.type)})`;
  return sql`(${stretch} and case when ${target.value(node, place)} then true else false end)`;
}

/** `a in list` as a predicate. */
export function membership(node: Extract<Expr, { kind: 'in' }>, target: Target, place: Place): Sql {
  const { needle, list } = node;
  const of = list.type.kind === 'list' ? list.type.of : list.type;
  if (list.kind === 'field' && valueType(of).kind === valueType(needle.type).kind && isConstantTree(needle, target.schema)) {
    const constant = target.constant(needle);
    if (constant === null) return keyword('false');
    return compared(list, target, place, list.column, (side) => target.forms.has(side, constantSql([constant], list.type)));
  }
  const compare = (left: Sql): Sql => {
    const shown = asText(left, needle.type, of);
    const isTextList = valueType(of).kind === 'uuid' && valueType(needle.type).kind !== 'uuid';
    const constant = isConstantTree(list, target.schema) ? target.constant(list) : undefined;
    if (constant === undefined) {
      const values = target.value(list, place);
      return target.forms.isIn(shown, sql`(${values})::${keyword(isTextList ? 'text[]' : sqlTypeOf(list.type))}`);
    }
    const known = Array.isArray(constant) ? constant.filter((item) => item !== null) : [];
    const isNumbers = needle.kind === 'field' && of.kind === 'number';
    return target.forms.isIn(shown, isNumbers ? comparedNumberSql(numberOf(known)) : sql`${known}::${keyword(isTextList ? 'text[]' : sqlTypeOf(list.type))}`);
  };
  return compared(needle, target, place, needle.kind === 'field' ? needle.column : null, compare);
}
