import type { Knex } from 'knex';
import { rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { isUuid } from '../ids.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { ident, rows, sql } from '../sql.ts';
import { displayName, nameFields } from './display-name.ts';
import { makeNamedShape, valueColumns } from './page.ts';
import { openSource, whereSql, type Source } from './source.ts';
import type { RecordData } from './types.ts';

/** A name made of references goes this deep, so that a circle of names ends. */
const DEEPEST = 2;

/** Fields that must be selected so that a display name can be made; unreadable ones are left out. */
export function readableNameFields(source: Source): readonly FieldModel[] {
  return nameFields(source.object).flatMap((name) => {
    const field = source.object.fields.get(name);
    return field !== undefined && source.rights.readable.has(name) ? [field] : [];
  });
}

/** Display names of records by id; those that the caller may not see are missing. One statement an object and level. */
export async function readNames(db: Knex, ctx: CallContext, objectName: string, ids: readonly string[], depth = 0): Promise<ReadonlyMap<string, string>> {
  const wanted = [...new Set(ids.filter((id) => isUuid(id)))];
  if (wanted.length === 0 || !ctx.model.objects.has(objectName) || !rightsFor(ctx, objectName).canRead) return new Map();
  const source = openSource(ctx, objectName);
  const fields = withKeys(source.object, readableNameFields(source));
  const found = await rows(
    db,
    sql`select ${valueColumns(source, fields)} from ${source.from}${whereSql(source, [sql`${ident(source.alias, 'id')} = any(${wanted}::uuid[])`])}`,
  );
  const records = found.map(makeNamedShape(fields));
  const inner = await referenceNames(db, ctx, source.object, records, depth);
  return new Map(records.map((record) => [record.id, displayName(source.object, record, inner)]));
}

/** Names of the records that the name of each given record mentions. */
export async function referenceNames(
  db: Knex,
  ctx: CallContext,
  object: ObjectModel,
  records: readonly RecordData[],
  depth = 0,
): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  if (depth >= DEEPEST) return names;
  for (const fieldName of nameFields(object)) {
    const target = object.fields.get(fieldName)?.ref?.to;
    if (target?.length !== 1 || target[0] === undefined) continue;
    const ids = records.flatMap((record) => {
      const id = record[fieldName];
      return typeof id === 'string' ? [id] : [];
    });
    for (const [id, name] of await readNames(db, ctx, target[0], ids, depth + 1)) names.set(id, name);
  }
  return names;
}

/** The fields with id and version in front, each once. */
export function withKeys(object: ObjectModel, fields: readonly FieldModel[]): readonly FieldModel[] {
  const keys = ['id', 'version'].flatMap((name) => {
    const field = object.fields.get(name);
    return field === undefined ? [] : [field];
  });
  return [...new Set([...keys, ...fields])];
}
