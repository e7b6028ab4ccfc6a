import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { ident, rows, sql } from '../sql.ts';
import { rightsFor } from './rights.ts';
import { grantColumns, objectTable } from './secure.sql.ts';
import type { CallContext } from './types.ts';

/** What a record says of its history: versions from 1 to its own, written between these instants by the clock of whoever wrote them. */
export interface RecordDates {
  readonly version: number;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
}

/** What the caller may do with one record as it stands. */
export interface RowRights {
  readonly canRead: boolean;
  readonly canUpdate: boolean;
  readonly canDelete: boolean;
  readonly readable: ReadonlySet<string>;
  readonly writable: ReadonlySet<string>;
  readonly transitions: ReadonlySet<string>;
  /** True when the record is in the trash. */
  readonly isTrashed: boolean;
  readonly dates: RecordDates;
}

const ALIAS = 't';

/**
 * Rights in each of the given records, live or in the trash; ids of records that do not exist are missing from the
 * answer. Every grant's row rule is looked at once a record, so that field lists stay with the rows they are given for.
 */
export async function readRowRights(db: Knex, ctx: CallContext, objectName: string, ids: readonly string[]): Promise<ReadonlyMap<string, RowRights>> {
  const { object, grants } = rightsFor(ctx, objectName);
  if (ids.length === 0 || grants.length === 0) return new Map();
  const statement = sql`select ${ident(ALIAS, 'id')} as id, ${ident(ALIAS, 'deleted_at')} is not null as trashed,
      ${ident(ALIAS, 'version')} as version, ${ident(ALIAS, 'created_at')} as created_at, ${ident(ALIAS, 'updated_at')} as updated_at, ${grantColumns(ctx, grants, ALIAS)}
    from ${objectTable(ctx, object)} as ${ident(ALIAS)} where ${ident(ALIAS, 'id')} = any(${ids}::uuid[])`;
  const found = await rows(db, statement);
  return new Map(
    found.map((row) => {
      const held = grants.map((grant, index) => ({
        grant,
        read: row[`r${index}`] === true,
        update: row[`u${index}`] === true,
        delete: row[`d${index}`] === true,
      }));
      const rights: RowRights = {
        canRead: held.some((entry) => entry.read),
        canUpdate: held.some((entry) => entry.update),
        canDelete: held.some((entry) => entry.delete),
        readable: new Set(held.flatMap((entry) => (entry.read ? [...entry.grant.fields] : []))),
        writable: new Set(held.flatMap((entry) => (entry.update ? [...entry.grant.writes] : []))),
        transitions: new Set(held.flatMap(({ grant, read, update }) => ((grant.update.kind === 'none' ? read : update) ? [...grant.transitions] : []))),
        isTrashed: row['trashed'] === true,
        dates: { version: Number(row['version']), createdAt: toRfc3339(String(row['created_at'])), updatedAt: toRfc3339(String(row['updated_at'])) },
      };
      return [String(row['id']), rights];
    }),
  );
}
