import type { Knex } from 'knex';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { ident, platformTable, rows, run, schemaOf, sql } from '../sql.ts';

/** A record that went to the trash with another one, or whose reference to it was cleared (`fieldId`). */
export interface TrashRelation {
  readonly rootId: string;
  /** Version of the root in the trash. */
  readonly rootVersion: number;
  readonly object: string;
  readonly id: string;
  /** Version of the record after that. */
  readonly version: number;
  readonly fieldId: string | null;
}

/** Keeps what followed from trashing. */
export async function keepTrashRelations(tx: Knex.Transaction, relations: readonly TrashRelation[]): Promise<void> {
  if (relations.length === 0) return;
  const values = relations.map(({ rootId, rootVersion, object, id, version, fieldId }) => ({
    root_id: rootId,
    root_version: rootVersion,
    object,
    record_id: id,
    version,
    field_id: fieldId,
  }));
  const table = platformTable(tx, 'trash_relation');
  await run(tx, sql`insert into ${table} select * from jsonb_populate_recordset(null::${table}, ${JSON.stringify(values)}::jsonb)`);
}

/** What followed from trashing a record, and forgets it: it is to be brought back now. */
export async function takeTrashRelations(tx: Knex.Transaction, rootId: string, rootVersion: number): Promise<readonly TrashRelation[]> {
  const found = await rows(
    tx,
    sql`delete from ${platformTable(tx, 'trash_relation')} where root_id = ${rootId}::uuid and root_version = ${rootVersion}::int returning object, record_id, version, field_id`,
  );
  const relations = found.map((row): TrashRelation => {
    const fieldId = row['field_id'];
    return {
      rootId,
      rootVersion,
      object: String(row['object']),
      id: String(row['record_id']),
      version: Number(row['version']),
      fieldId: typeof fieldId === 'string' ? fieldId : null,
    };
  });
  return relations.sort((left, right) => (left.id < right.id ? -1 : 1));
}

/** Those of the records that are not in the trash; with a field, whose field is empty besides. Locks them. */
export async function liveRecords(
  tx: Knex.Transaction,
  object: ObjectModel,
  ids: readonly string[],
  emptyField: FieldModel | null = null,
): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const empty = emptyField === null || emptyField.column === null ? sql`` : sql` and ${ident(emptyField.column)} is null`;
  const found = await rows(
    tx,
    sql`select id from ${ident(schemaOf(tx), object.table)} where id = any(${[...ids].sort()}::uuid[]) and deleted_at is null${empty} order by id for update`,
  );
  return new Set(found.map((row) => String(row['id'])));
}
