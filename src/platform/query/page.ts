import type { Knex } from 'knex';
import { sqlState, SQLSTATE, isTransaction } from '../db.ts';
import { AppError } from '../errors.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel } from '../model/types.ts';
import { ident, joinSql, keyword, rows, sql, type Sql } from '../sql.ts';
import { planSegments, type Position, type SortKey } from './sort.ts';
import { fieldSql, whereSql, type Source } from './source.ts';
import type { RecordData } from './types.ts';

/** Columns of a SELECT, aliased `v0`, `v1`, ... so that no field name can clash with another column. */
export function valueColumns(source: Source, fields: readonly FieldModel[]): Sql {
  return joinSql(fields.flatMap((field, index) => outColumns(source, field, index)));
}

function outColumns(source: Source, field: FieldModel, index: number): readonly Sql[] {
  const value = fieldSql(source, field);
  const column = ident(`v${index}`);
  // Quotients come with twelve places; exact numbers travel as their shortest text.
  if (field.formula !== null && fieldType(field).column?.cast === 'numeric') return [sql`trim_scale((${value})::numeric) as ${column}`];
  if (field.objectColumn !== null) return [sql`${value} as ${column}`, sql`${ident(source.alias, field.objectColumn)} as ${ident(`o${index}`)}`];
  return [sql`${value} as ${column}`];
}

/** The one boundary between a row of the driver and a record as callers see it. */
export function shapeRow(fields: readonly FieldModel[], row: Readonly<Record<string, unknown>>): RecordData {
  const record: Record<string, unknown> = {};
  fields.forEach((field, index) => {
    const value = fieldType(field).format(row[`v${index}`]);
    record[field.name] = field.objectColumn !== null && value !== null ? { object: row[`o${index}`], id: value } : value;
  });
  const { id, version } = record;
  if (typeof id !== 'string' || typeof version !== 'number') throw new AppError('internal', 'A record came without id or version.');
  return { ...record, id, version };
}

export interface PageRow {
  readonly record: RecordData;
  readonly position: Position;
}

/** Up to `limit` rows in order, from after a position. */
export async function readPage(
  db: Knex,
  source: Source,
  fields: readonly FieldModel[],
  conditions: readonly Sql[],
  keys: readonly SortKey[],
  after: Position | null,
  limit: number,
): Promise<readonly PageRow[]> {
  const found: PageRow[] = [];
  for (const segment of planSegments(keys, after)) {
    if (found.length >= limit) break;
    const statement = pageSql(source, fields, keys, [...conditions, ...segment.where], segment.orderBy, limit - found.length);
    for (const row of await rows(db, statement)) found.push({ record: shapeRow(fields, row), position: positionOf(keys, row) });
  }
  return found;
}

/** Text of one page's statement. */
export function pageSql(source: Source, fields: readonly FieldModel[], keys: readonly SortKey[], conditions: readonly Sql[], orderBy: Sql, limit: number): Sql {
  const positions = joinSql(keys.map((key, index) => sql`${key.value}::text as ${ident(`k${index}`)}`));
  const order = orderBy.text === '' ? keyword('') : sql` order by ${orderBy}`;
  return sql`select ${valueColumns(source, fields)}, ${positions} from ${source.from}${whereSql(source, conditions)}${order} limit ${limit}`;
}

function positionOf(keys: readonly SortKey[], row: Readonly<Record<string, unknown>>): Position {
  return keys.map((_, index) => {
    const value = row[`k${index}`];
    return typeof value === 'string' ? value : null;
  });
}

const STALE_PLAN: readonly string[] = ['0A000', '26000'];

/**
 * Runs a statement of a closed shape as a named prepared one. A plan that a schema change made stale is prepared
 * once more; inside a transaction, which the failure has ended, the caller tries again as a whole.
 */
export async function runPrepared(db: Knex, statement: Sql, name: string): Promise<Record<string, unknown>[]> {
  try {
    return await rows(db, statement, { name });
  } catch (error) {
    const state = sqlState(error);
    if (isTransaction(db) || state === undefined || state === SQLSTATE.undefinedTable || !STALE_PLAN.includes(state)) throw error;
    return rows(db, statement);
  }
}
