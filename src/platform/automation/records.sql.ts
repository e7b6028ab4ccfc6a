import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Row } from '../expression/types.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { imageOf, rowOf } from '../record/images.ts';
import { columnsOf } from '../record/related.sql.ts';
import { EMPTY, ident, platformTable, rows, schemaOf, sql } from '../sql.ts';

/** Records by id, as expressions see them; those in the trash too when asked for. Rules act for the system: no row rule narrows this. Reads only. */
export async function loadRows(db: Knex, model: Model, objectName: string, ids: readonly string[], withTrash = false): Promise<ReadonlyMap<string, Row>> {
  if (ids.length === 0) return new Map();
  const object = objectOf(model, objectName);
  const found = await rows(
    db,
    sql`select ${columnsOf(object)} from ${wholeTable(schemaOf(db), object)} where id = any(${[...ids]}::uuid[]) ${withTrash ? EMPTY : sql`and deleted_at is null`} order by id`,
  );
  return new Map(
    found.map((row) => {
      const image = imageOf(object, row);
      return [String(image['id']), rowOf(object, image)];
    }),
  );
}

/** Live records whose reference `via` points at each of some records, oldest first. Reads only. */
export async function loadRelatedTo(
  db: Knex,
  model: Model,
  objectName: string,
  via: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly Row[]>> {
  const object = objectOf(model, objectName);
  const column = object.fields.get(via)?.column;
  if (column === undefined || column === null) throw new AppError('metadata_invalid', `${objectName} has no reference "${via}".`);
  const found = await rows(
    db,
    sql`select ${columnsOf(object)} from ${wholeTable(schemaOf(db), object)} where ${ident(column)} = any(${[...ids]}::uuid[]) and deleted_at is null order by created_at, id`,
  );
  const byParent = new Map<string, Row[]>();
  for (const row of found) {
    const parent = String(row[column]);
    const known = byParent.get(parent);
    if (known === undefined) byParent.set(parent, [rowOf(object, imageOf(object, row))]);
    else known.push(rowOf(object, imageOf(object, row)));
  }
  return byParent;
}

/**
 * The values that records had before they were updated at a moment, as expressions see them: those that the update changed. Where one was
 * updated more than once in that millisecond, what it had before the first counts. Reads only.
 */
export async function changesAt(db: Knex, object: ObjectModel, ids: readonly string[], at: Instant): Promise<ReadonlyMap<string, Row>> {
  if (ids.length === 0) return new Map();
  const found = await rows(
    db,
    sql`select record_id, changes from ${platformTable(db, 'record_history')}
        where record_id = any(${[...ids]}::uuid[]) and at = ${at}::timestamptz and kind = 'updated' order by record_id, version desc`,
  );
  const byId = new Map([...object.fields.values()].map((field) => [field.id, field.name]));
  const before = new Map<string, Record<string, unknown>>();
  for (const row of found) {
    const id = String(row['record_id']);
    const values = before.get(id) ?? {};
    for (const [field, change] of Object.entries(row['changes'] as Readonly<Record<string, readonly [unknown, unknown]>>)) {
      const name = byId.get(field);
      if (name !== undefined) values[name] = change[0];
    }
    before.set(id, values);
  }
  return new Map([...before].map(([id, values]) => [id, rowOf(object, values)]));
}

/** An object by name. */
export function objectOf(model: Model, name: string): ObjectModel {
  const object = model.objects.get(name);
  if (object === undefined) throw new AppError('metadata_invalid', `There is no object "${name}".`);
  return object;
}
