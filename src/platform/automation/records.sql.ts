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

/** Live records whose reference `via` points at a record, oldest first. Reads only. */
export async function loadRelated(db: Knex, model: Model, objectName: string, via: string, id: string): Promise<readonly Row[]> {
  const object = objectOf(model, objectName);
  const column = object.fields.get(via)?.column;
  if (column === undefined || column === null) throw new AppError('metadata_invalid', `${objectName} has no reference "${via}".`);
  const found = await rows(
    db,
    sql`select ${columnsOf(object)} from ${wholeTable(schemaOf(db), object)} where ${ident(column)} = ${id}::uuid and deleted_at is null order by created_at, id`,
  );
  return found.map((row) => rowOf(object, imageOf(object, row)));
}

/** An object by name. */
export function objectOf(model: Model, name: string): ObjectModel {
  const object = model.objects.get(name);
  if (object === undefined) throw new AppError('metadata_invalid', `There is no object "${name}".`);
  return object;
}
