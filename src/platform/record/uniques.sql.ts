import type { Knex } from 'knex';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { ident, joinSql, rows, schemaOf, sql } from '../sql.ts';
import { physicalRow } from './images.ts';
import type { Image } from './batch.ts';

/** A set of values that must be unique, of one entry of the batch. */
export interface UniqueCandidate {
  readonly index: number;
  readonly id: string;
  readonly image: Image;
}

/**
 * Which candidates have a key that a live record outside themselves already has: one statement a key. Types are the
 * table's own. A key with an empty part is never taken, as in the index.
 */
export async function takenKeys(
  tx: Knex.Transaction,
  object: ObjectModel,
  key: readonly FieldModel[],
  candidates: readonly UniqueCandidate[],
): Promise<ReadonlySet<number>> {
  if (candidates.length === 0) return new Set();
  const columns = key.flatMap((field) => (field.column === null ? [] : [field.column]));
  const table = ident(schemaOf(tx), object.table);
  const wanted = candidates.map(({ index, id, image }) => ({ n: index, r: { id, ...physicalRow(image, key) } }));
  const same = joinSql(
    columns.map((column) => sql`t.${ident(column)} = r.${ident(column)}`),
    ' and ',
  );
  const found = await rows(
    tx,
    sql`select distinct w.n from jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb) as w(n int, r jsonb)
        cross join lateral jsonb_populate_record(null::${table}, w.r) as r
        join ${table} as t on ${same} and t.deleted_at is null and t.id <> r.id`,
  );
  return new Set(found.map((row) => Number(row['n'])));
}
