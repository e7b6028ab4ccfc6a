import type { Knex } from 'knex';
import { AppError } from '../errors.ts';
import type { Row } from '../expression/types.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { imageOf, rowOf } from '../record/images.ts';
import { columnsOf } from '../record/related.sql.ts';
import { EMPTY, ident, rows, schemaOf, sql } from '../sql.ts';

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

/** An object by name. */
export function objectOf(model: Model, name: string): ObjectModel {
  const object = model.objects.get(name);
  if (object === undefined) throw new AppError('metadata_invalid', `There is no object "${name}".`);
  return object;
}
