import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import type { ObjectModel } from '../model/types.ts';
import { isInForce } from '../schema/processes.sql.ts';
import { ident, joinSql, rows, schemaOf, sql, type RunOptions } from '../sql.ts';

/** A row by physical column, ready for jsonb. */
export type PhysicalRow = Readonly<Record<string, unknown>>;

const SHAPES_PER_PROCESS = 400;
const shapes = new Set<string>();

/**
 * Name of the prepared statement of a closed shape. The number of names is bounded, for each lives on in every
 * connection; what comes after them runs unnamed.
 */
function shapeName(object: ObjectModel, modelVersion: number, kind: string, columns: readonly string[]): RunOptions {
  const name = `${kind}_${object.id}_${modelVersion}_${createHash('sha256').update(columns.join(',')).digest('hex').slice(0, 12)}`;
  if (!shapes.has(name)) {
    if (shapes.size >= SHAPES_PER_PROCESS) return {};
    shapes.add(name);
  }
  return { name };
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
  const list = joinSql(columns.map((column) => ident(column)));
  const values = joinSql(columns.map((column) => ident('r', column)));
  const statement = sql`insert into ${table} (${list}) select ${values} from jsonb_populate_recordset(null::${table}, ${JSON.stringify(records)}::jsonb) as r
    where ${isInForce(tx, modelVersion)} returning 1`;
  return (await rows(tx, statement, shapeName(object, modelVersion, 'insert', columns))).length;
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
  const set = joinSql(columns.map((column) => sql`${ident(column)} = ${ident('r', column)}`));
  const statement = sql`update ${table} as t set ${set} from jsonb_populate_recordset(null::${table}, ${JSON.stringify(records)}::jsonb) as r
    where t.id = r.id and t.version = r.version - 1 and ${isInForce(tx, modelVersion)} returning t.id`;
  const found = await rows(tx, statement, shapeName(object, modelVersion, 'update', columns));
  return new Set(found.map((row) => String(row['id'])));
}

/** Marks a place to come back to when a set of rows turns out not to fit. */
export async function savepoint(tx: Knex.Transaction, act: 'set' | 'release' | 'back'): Promise<void> {
  const text = { set: sql`savepoint record_write`, release: sql`release savepoint record_write`, back: sql`rollback to savepoint record_write` };
  await rows(tx, text[act]);
}
