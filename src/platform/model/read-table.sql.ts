import { ident, joinSql, keyword, sql, type Sql } from '../sql.ts';
import { sideOf, sideTables } from './side-tables.ts';
import type { FieldModel } from './types.ts';

/** An object as far as reading its rows needs it. */
interface ReadObject {
  readonly table: string;
  readonly fields: ReadonlyMap<string, FieldModel>;
}

const ROW = 'r';

/**
 * What stands after FROM when the rows of an object are read: its table, or, where part of a value waits in the deltas, a
 * sub-select with the table's own column names, which PostgreSQL takes apart so that indexes serve.
 */
export function readTable(schema: string, object: ReadObject): Sql {
  if (![...object.fields.values()].some(isHot)) return wholeTable(schema, object);
  // Hot values stand in the object's own table; a sub-select with the columns of side tables as well would be wider than PostgreSQL allows.
  const columns = [...object.fields.values()].flatMap((field) => {
    const names = [field.column, field.sortColumn, field.objectColumn].filter((name) => name !== null).filter((name) => sideOf(name) === 0);
    return isHot(field) ? [sql`${hotValue(field, ident(ROW))} as ${ident(field.column ?? '')}`] : names.map((name) => ident(ROW, name));
  });
  const own = sql`(select ${joinSql(columns)} from ${ident(schema, object.table)} as ${ident(ROW)})`;
  return withSides(schema, object, own, sql`${own} as ${ident(ROW)}`);
}

/**
 * What stands after FROM where the columns of an object are read as they are stored: its table, or, for a wide object, its table
 * joined with its side tables, of which PostgreSQL leaves out those that nothing names. An alias may follow; without one the
 * object's table bears its own name.
 */
export function wholeTable(schema: string, object: ReadObject): Sql {
  const table = ident(schema, object.table);
  return withSides(schema, object, table, table);
}

/** What is read of an object's own table, alone where there are no side tables, else `named` joined with them. */
function withSides(schema: string, object: ReadObject, alone: Sql, named: Sql): Sql {
  const sides = sideTables(object);
  return sides.length === 0
    ? alone
    : sql`(${named}${joinSql(
        sides.map((side) => sql` left join ${ident(schema, side)} using (id)`),
        '',
      )})`;
}

/** True when part of a field's value waits in the deltas. */
export function isHot(field: FieldModel): boolean {
  return field.rollup !== null && field.rollup.deltas !== null;
}

/** The value of a hot roll-up in the row of the given name: what is folded, and what waits. Null until it is filled. */
export function hotValue(field: FieldModel, row: Sql): Sql {
  const { column, rollup } = field;
  if (column === null || rollup === null || rollup.deltas === null) throw new RangeError(`${field.name} is no hot roll-up`);
  if (!/^[0-9a-z]+$/.test(field.id)) throw new RangeError(`Not an id of metadata: ${field.id}`);
  // The id stands in the text, so that statements with a place for their ids alone can use this.
  return sql`trim_scale(${row}.${ident(column)} + coalesce((select sum(d.amount) from ${rollup.deltas} as d where d.field_id = ${keyword(`'${field.id}'`)} and d.record_id = ${row}."id"), 0))`;
}
