import type { Knex } from 'knex';
import type { RecordDates } from '../access/row-rights.sql.ts';
import { writtenWithin } from '../query/history-dates.ts';
import { ident, platformTable, rows, sql, type Sql } from '../sql.ts';

/** What made one version of a record. */
export interface Change {
  readonly kind: 'created' | 'updated' | 'deleted' | 'restored';
  /** Field id -> [old, new]. */
  readonly changes: Readonly<Record<string, readonly [unknown, unknown]>>;
}

/** The change that made the present version of a record, from its history; null when there is none. */
export async function lastChange(db: Knex, objectId: string, recordId: string, dates: RecordDates): Promise<Change | null> {
  const read = (within: Sql): Promise<Record<string, unknown>[]> =>
    rows(
      db,
      sql`select kind, changes from ${platformTable(db, 'record_history')}
        where record_id = ${recordId}::uuid and version = ${dates.version}::int and object_id = ${objectId} and ${within} order by id desc limit 1`,
    );
  const found = await read(writtenWithin(ident('at'), [{ ...dates, createdAt: dates.updatedAt }]));
  const [row] = found.length > 0 ? found : await read(sql`true`);
  return row === undefined ? null : toChange(row);
}

/** The boundary for rows of record_history, which the engine wrote. */
function toChange(row: Readonly<Record<string, unknown>>): Change {
  return { kind: row['kind'] as Change['kind'], changes: row['changes'] as Change['changes'] };
}
