import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { sideOf, sideTables, tableOfColumn } from '../model/side-tables.ts';
import type { ObjectModel } from '../model/types.ts';
import { isInForce } from '../schema/processes.sql.ts';
import { ident, joinSql, rows, schemaOf, sql, type RunOptions, type Sql } from '../sql.ts';

/** A row by physical column, ready for jsonb. */
export type PhysicalRow = Readonly<Record<string, unknown>>;

/** Name of the prepared statement of a closed shape. */
function shapeName(object: ObjectModel, modelVersion: number, kind: string, columns: readonly string[]): RunOptions {
  return { name: `${kind}_${object.id}_${modelVersion}_${createHash('sha256').update(columns.join(',')).digest('hex').slice(0, 12)}` };
}

/**
 * Inserts all rows in one statement; types come from the table itself, through its row type. Answers how many were written: none
 * when the Model is no longer in force.
 */
export async function insertRecords(
  tx: Knex.Transaction,
  object: ObjectModel,
  modelVersion: number,
  columns: readonly string[],
  records: readonly PhysicalRow[],
): Promise<number> {
  if (records.length === 0) return 0;
  const table = ident(schemaOf(tx), object.table);
  const own = columns.filter((column) => sideOf(column) === 0);
  const list = joinSql(own.map((column) => ident(column)));
  const values = joinSql(own.map((column) => ident('r', column)));
  const statement = sql`insert into ${table} (${list}) select ${values} from jsonb_populate_recordset(null::${table}, ${JSON.stringify(records)}::jsonb) as r
    where ${isInForce(tx, modelVersion)} returning 1`;
  const { length } = await rows(tx, statement, shapeName(object, modelVersion, 'insert', own));
  if (length > 0) await writeAside(tx, object, modelVersion, columns, records);
  return length;
}

/**
 * Updates the given columns of all rows in one statement; each row carries the version it was read at as `was`.
 * Answers the ids that were written: one that is missing was changed by somebody else meanwhile, or the Model is no longer in force.
 */
export async function updateRecords(
  tx: Knex.Transaction,
  object: ObjectModel,
  modelVersion: number,
  columns: readonly string[],
  records: readonly PhysicalRow[],
): Promise<ReadonlySet<string>> {
  if (records.length === 0) return new Set();
  const table = ident(schemaOf(tx), object.table);
  const own = columns.filter((column) => sideOf(column) === 0);
  const set = joinSql(own.map((column) => sql`${ident(column)} = ${ident('r', column)}`));
  const statement = sql`update ${table} as t set ${set} from jsonb_populate_recordset(null::${table}, ${JSON.stringify(records)}::jsonb) as r
    where t.id = r.id and t.version = r.version - 1 and ${isInForce(tx, modelVersion)} returning t.id`;
  const found = await rows(tx, statement, shapeName(object, modelVersion, 'update', own));
  const written = new Set(found.map((row) => String(row['id'])));
  await writeAside(
    tx,
    object,
    modelVersion,
    columns,
    records.filter((record) => written.has(String(record['id']))),
  );
  return written;
}

/** Writes what stands in the side tables of a wide object, in which a record that has none of these values has no row. */
async function writeAside(
  tx: Knex.Transaction,
  object: ObjectModel,
  modelVersion: number,
  columns: readonly string[],
  records: readonly PhysicalRow[],
): Promise<void> {
  for (const side of sideTables(object)) {
    const aside = columns.filter((column) => tableOfColumn(object.table, column) === side);
    if (aside.length === 0 || records.length === 0) continue;
    const table = ident(schemaOf(tx), side);
    const list = joinSql(aside.map((column) => ident(column)));
    const values = joinSql(aside.map((column) => ident('r', column)));
    const set = joinSql(aside.map((column) => sql`${ident(column)} = excluded.${ident(column)}`));
    const content = records.map((record) => Object.fromEntries(['id', ...aside].map((column) => [column, record[column] ?? null])));
    const statement = sql`insert into ${table} as s (id, ${list}) select r.id, ${values} from jsonb_populate_recordset(null::${table}, ${JSON.stringify(content)}::jsonb) as r
      where ${someValue(aside)} or exists (select from ${table} as e where e.id = r.id) on conflict (id) do update set ${set}`;
    await rows(tx, statement, shapeName(object, modelVersion, 'aside', aside));
  }
}

function someValue(columns: readonly string[]): Sql {
  return sql`(${joinSql(
    columns.map((column) => sql`${ident('r', column)} is not null`),
    ' or ',
  )})`;
}

/** Marks a place to come back to when a set of rows turns out not to fit. */
export async function savepoint(tx: Knex.Transaction, act: 'set' | 'release' | 'back'): Promise<void> {
  const text = { set: sql`savepoint record_write`, release: sql`release savepoint record_write`, back: sql`rollback to savepoint record_write` };
  await rows(tx, text[act]);
}
