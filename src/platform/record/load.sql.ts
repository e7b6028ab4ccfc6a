import type { Knex } from 'knex';
import { wholeTable } from '../model/read-table.sql.ts';
import type { ObjectModel } from '../model/types.ts';
import type { RecordDates } from '../access/row-rights.sql.ts';
import { isComplete, writtenWithin } from '../query/history-dates.ts';
import { ident, platformTable, ready, rowArrays, rows, schemaOf, sql, type ReadyStatement, type Sql } from '../sql.ts';
import { imageOf, imageReader } from './images.ts';
import type { Image } from './batch.ts';
import { columnsOf, rowsOf } from './related.sql.ts';

/** Locks records for writing, in the order of their ids, and answers their images; the trash is included. */
export async function lockRecords(
  tx: Knex.Transaction,
  object: ObjectModel,
  ids: readonly string[],
  modelVersion: number,
): Promise<ReadonlyMap<string, Image>> {
  if (ids.length === 0) return new Map();
  const found = await rowsOf(tx, object, ids, 'for update', { name: `lock_${ids.length === 1 ? 'one_' : ''}${object.id}_${modelVersion}` });
  return new Map(found.map((row) => imageOf(object, row)).map((image) => [String(image['id']), image]));
}

/** Reads records as they stand, the trash included, and locks nothing: whoever writes them must compare the version. */
export async function readRecords(db: Knex, object: ObjectModel, ids: readonly string[], modelVersion: number): Promise<ReadonlyMap<string, Image>> {
  if (ids.length === 0) return new Map();
  const statements = readStatements(object, schemaOf(db), modelVersion);
  const found = ids.length === 1 ? await rowArrays(db, statements.one, ids) : await rowArrays(db, statements.some, [ids]);
  const read = imageReader(object);
  return new Map(found.map(read).map((image) => [String(image['id']), image]));
}

interface ReadStatements {
  /** By the id itself: PostgreSQL plans a list of one anew each time, since it takes a list that it does not know for ten. */
  readonly one: ReadyStatement;
  readonly some: ReadyStatement;
}

const readStatementsOf = new WeakMap<ObjectModel, ReadStatements>();

/** A Model belongs to one schema, and so do its objects. */
function readStatements(object: ObjectModel, schema: string, modelVersion: number): ReadStatements {
  const known = readStatementsOf.get(object);
  if (known !== undefined) return known;
  const read = sql`select ${columnsOf(object)} from ${wholeTable(schema, object)} where id`;
  const name = `${object.id}_${modelVersion}`;
  const made = {
    one: ready(sql`${read} = ${''}::uuid`.text, `before_one_${name}`),
    some: ready(sql`${read} = any(${[]}::uuid[])`.text, `before_${name}`),
  };
  readStatementsOf.set(object, made);
  return made;
}

/** Locks parents whose guards look at the children that are about to be written; lets references to them pass. */
export async function lockParents(tx: Knex.Transaction, object: ObjectModel, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await rows(tx, sql`select 1 from ${ident(schemaOf(tx), object.table)} where id = any(${[...ids].sort()}::uuid[]) order by id for no key update`);
}

/** Ids of fields that others changed after `version` of a record, from the history of what it is now. */
export async function fieldsChangedSince(db: Knex, id: string, version: number, present: Image): Promise<ReadonlySet<string>> {
  const read = (within: Sql): Promise<Record<string, unknown>[]> =>
    rows(
      db,
      sql`select h.version, k.field_id from ${platformTable(db, 'record_history')} h left join lateral jsonb_object_keys(h.changes) as k(field_id) on true
        where h.record_id = ${id}::uuid and h.version > ${version}::int and ${within}`,
    );
  const dates: RecordDates = { version: Number(present['version']), createdAt: String(present['createdAt']), updatedAt: String(present['updatedAt']) };
  const bounded = await read(writtenWithin(ident('h', 'at'), [dates]));
  const found = isComplete(new Set(bounded.map((row) => Number(row['version']))), dates, version + 1) ? bounded : await read(sql`true`);
  return new Set(found.flatMap((row) => (row['field_id'] === null ? [] : [String(row['field_id'])])));
}
