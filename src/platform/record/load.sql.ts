import type { Knex } from 'knex';
import type { ObjectModel } from '../model/types.ts';
import { ident, platformTable, rows, schemaOf, sql } from '../sql.ts';
import { imageOf } from './images.ts';
import type { Image } from './batch.ts';
import { columnsOf } from './related.sql.ts';

/** Locks records for writing, in the order of their ids, and answers their images; the trash is included. */
export async function lockRecords(
  tx: Knex.Transaction,
  object: ObjectModel,
  ids: readonly string[],
  modelVersion: number,
): Promise<ReadonlyMap<string, Image>> {
  if (ids.length === 0) return new Map();
  const statement = sql`select ${columnsOf(object)} from ${ident(schemaOf(tx), object.table)} where id = any(${[...ids].sort()}::uuid[]) order by id for update`;
  const found = await rows(tx, statement, { name: `lock_${object.id}_${modelVersion}` });
  return new Map(found.map((row) => imageOf(object, row)).map((image) => [String(image['id']), image]));
}

/** Locks parents whose guards look at the children that are about to be written; lets references to them pass. */
export async function lockParents(tx: Knex.Transaction, object: ObjectModel, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await rows(tx, sql`select 1 from ${ident(schemaOf(tx), object.table)} where id = any(${[...ids].sort()}::uuid[]) order by id for no key update`);
}

/** Ids of fields that others changed after `version`, from the record's history. */
export async function fieldsChangedSince(tx: Knex.Transaction, id: string, version: number): Promise<ReadonlySet<string>> {
  const found = await rows(
    tx,
    sql`select distinct k.field_id from ${platformTable(tx, 'record_history')} h cross join lateral jsonb_object_keys(h.changes) as k(field_id)
        where h.record_id = ${id}::uuid and h.version > ${version}::int`,
  );
  return new Set(found.map((row) => String(row['field_id'])));
}
