import type { Knex } from 'knex';
import { rightsFor } from '../access/rights.ts';
import { rowPredicate } from '../access/secure.sql.ts';
import type { CallContext } from '../access/types.ts';
import { toRfc3339 } from '../db.ts';
import { isUuid } from '../ids.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import { ident, joinSql, rows, sql, type Sql } from '../sql.ts';
import { displayName } from './display-name.ts';
import { invalidQuery, unknownName } from './invalid-query.ts';
import { readableNameFields, readNames, referenceNames, withKeys } from './names.ts';
import { makeNamedShape, valueColumns } from './page.ts';
import { openSource, whereSql, type Source } from './source.ts';

/** A record in the trash. */
export interface TrashedRecord {
  readonly object: string;
  readonly id: string;
  /** For If-Match when it is restored. */
  readonly version: number;
  readonly name: string;
  readonly deletedAt: string;
  readonly deletedBy: { readonly id: string | null; readonly name: string };
}

export interface TrashQuery {
  readonly objects?: readonly string[] | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface TrashPage {
  readonly data: readonly TrashedRecord[];
  readonly page: { readonly next: string | null };
}

interface Row {
  readonly object: string;
  readonly id: string;
  readonly version: number;
  readonly deletedAt: string;
  readonly by: string;
  readonly position: string;
}

const DEFAULT_LIMIT = 50;
const MOST_ROWS = 500;

/**
 * What lies in the trash, of all objects, what went there last first. Only records that the caller may see and delete.
 * @throws AppError invalid_query for an object whose trash the caller may not look into, whether or not it exists
 */
export async function listTrash(db: Knex, ctx: CallContext, query: TrashQuery = {}): Promise<TrashPage> {
  const limit = query.limit ?? DEFAULT_LIMIT;
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_ROWS) throw invalidQuery('limit', `The limit is a whole number from 1 to ${MOST_ROWS}.`);
  const names = openObjects(ctx, query.objects);
  if (names.length === 0) return { data: [], page: { next: null } };
  const after = query.cursor === undefined ? null : readCursor(query.cursor);
  const branches = names.map((name) => sql`(${branchSql(ctx, name, after, limit + 1)})`);
  const found = (await rows(db, sql`select * from (${joinSql(branches, ' union all ')}) as c order by deleted_at desc, id desc limit ${limit + 1}`)).map(toRow);
  const shown = found.slice(0, limit);
  const last = shown.at(-1);
  const next = found.length > limit && last !== undefined ? Buffer.from(JSON.stringify([last.position, last.id])).toString('base64url') : null;
  return { data: await describe(db, ctx, shown), page: { next } };
}

function openObjects(ctx: CallContext, wanted: readonly string[] | undefined): readonly string[] {
  const open = [...ctx.model.objects.values()].filter((object) => {
    const rights = rightsFor(ctx, object.name);
    return !object.builtin && rights.canRead && rights.canDelete;
  });
  const names = open.map((object) => object.name);
  wanted?.forEach((name, index) => {
    if (!names.includes(name)) throw unknownName(`objects/${index}`, 'The trash', 'object', name, names);
  });
  return wanted ?? names;
}

function openTrash(ctx: CallContext, name: string): Source {
  return openSource(ctx, name, { trash: true });
}

function branchSql(ctx: CallContext, name: string, after: Position | null, limit: number): Sql {
  const source = openTrash(ctx, name);
  const column = (part: string): Sql => ident(source.alias, part);
  const predicate = rowPredicate(ctx, name, 'delete', 'd');
  const mayDelete =
    predicate === null
      ? []
      : [sql`${column('id')} in (select ${ident('d', 'id')} from ${wholeTable(ctx.model.schema, source.object)} as ${ident('d')} where ${predicate})`];
  const later = after === null ? [] : [sql`(${column('deleted_at')}, ${column('id')}) < (${after.at}::timestamptz, ${after.id}::uuid)`];
  return sql`select ${name}::text as object, ${column('id')} as id, ${column('version')} as version, ${column('deleted_at')} as deleted_at, ${column('updated_by')} as by
    from ${source.from}${whereSql(source, [...mayDelete, ...later])} order by ${column('deleted_at')} desc, ${column('id')} desc limit ${limit}`;
}

/** The boundary for rows of the union. */
function toRow(row: Readonly<Record<string, unknown>>): Row {
  const position = String(row['deleted_at']);
  return {
    object: String(row['object']),
    id: String(row['id']),
    version: Number(row['version']),
    deletedAt: toRfc3339(position),
    by: String(row['by']),
    position,
  };
}

interface Position {
  readonly at: string;
  readonly id: string;
}

function readCursor(cursor: string): Position {
  const wrong = invalidQuery('cursor', 'This is not a cursor of this list.', 'Use page.next of the page before as it is, or start again without cursor.');
  if (cursor.length > 400 || !/^[\w-]+$/.test(cursor)) throw wrong;
  const match = /^\["(\d{4}-\d{2}-\d{2} [\d:.]{8,15}\+00)","([0-9a-f-]{36})"\]$/.exec(Buffer.from(cursor, 'base64url').toString('utf8'));
  const [, at, id] = match ?? [];
  if (at === undefined || id === undefined || !isUuid(id)) throw wrong;
  return { at, id };
}

async function describe(db: Knex, ctx: CallContext, found: readonly Row[]): Promise<readonly TrashedRecord[]> {
  const names = new Map<string, string>();
  for (const object of new Set(found.map((row) => row.object))) {
    const ids = found.filter((row) => row.object === object).map((row) => row.id);
    for (const [id, name] of await trashedNames(db, openTrash(ctx, object), ids)) names.set(id, name);
  }
  const [people] = [...ctx.model.objects.values()].filter((object) => object.builtin);
  const byName = people === undefined ? new Map<string, string>() : await readNames(db, ctx, people.name, [...new Set(found.map((row) => row.by))]);
  return found.map(({ object, id, version, deletedAt, by }) => ({
    object,
    id,
    version,
    name: names.get(id) ?? '',
    deletedAt,
    deletedBy: personOf(by, byName),
  }));
}

/** A colleague by name, or the kind of caller that is none. */
function personOf(actor: string, names: ReadonlyMap<string, string>): TrashedRecord['deletedBy'] {
  const kind: string = actor.split(':', 1).join('');
  return isUuid(actor) ? { id: actor, name: names.get(actor) ?? 'A user' } : { id: null, name: kind };
}

async function trashedNames(db: Knex, source: Source, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const fields = withKeys(source.object, readableNameFields(source));
  const condition = sql`${ident(source.alias, 'id')} = any(${ids}::uuid[])`;
  const found = await rows(db, sql`select ${valueColumns(source, fields)} from ${source.from}${whereSql(source, [condition])}`);
  const records = found.map(makeNamedShape(fields));
  const inner = await referenceNames(db, source.ctx, source.object, records);
  return new Map(records.map((record) => [record.id, displayName(source.object, record, inner)]));
}
