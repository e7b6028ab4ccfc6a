import type { Knex } from 'knex';
import { platformTable, rows, sql } from '../sql.ts';

/** What made one version of a record. */
export interface Change {
  readonly kind: 'created' | 'updated' | 'deleted' | 'restored';
  /** Field id -> [old, new]. */
  readonly changes: Readonly<Record<string, readonly [unknown, unknown]>>;
}

/** The change that made a version, from the record's history; null when there is none. */
export async function changeAt(db: Knex, objectId: string, recordId: string, version: number): Promise<Change | null> {
  const [row] = await rows(
    db,
    sql`select kind, changes from ${platformTable(db, 'record_history')}
        where record_id = ${recordId}::uuid and version = ${version}::int and object_id = ${objectId} order by id desc limit 1`,
  );
  return row === undefined ? null : toChange(row);
}

/** The boundary for rows of record_history, which the engine wrote. */
function toChange(row: Readonly<Record<string, unknown>>): Change {
  return { kind: row['kind'] as Change['kind'], changes: row['changes'] as Change['changes'] };
}
