import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import { ident, platformTable, rows, run, sql, type Sql } from '../sql.ts';

/** A reference that a merge moved from a merged record to the one that stays. */
export interface MovedReference {
  readonly object: string;
  readonly id: string;
  readonly fieldId: string;
  readonly from: string;
}

/** Rows of a platform table that a merge moved, by the column that points at the record. */
export interface MovedPointers {
  readonly pointer: string;
  readonly from: string;
  readonly keys: readonly string[];
}

export interface MergeSource {
  readonly id: string;
  /** Version of the record in the trash. */
  readonly version: number;
}

export interface MergeRow {
  readonly id: string;
  readonly object: string;
  readonly survivorId: string;
  readonly survivorVersion: number;
  readonly at: string;
  readonly actor: string;
  readonly reason: string | null;
  readonly sources: readonly MergeSource[];
  /** Field id -> [old, new] of the record that stays. */
  readonly changed: Readonly<Record<string, readonly [unknown, unknown]>>;
  readonly moved: readonly MovedReference[];
  readonly pointers: readonly MovedPointers[];
  readonly undoneAt: string | null;
}

export async function insertMerge(tx: Knex.Transaction, merge: MergeRow): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'record_merge')} (id, object, survivor_id, survivor_version, at, actor, reason, changed, moved, pointers)
        values (${merge.id}::uuid, ${merge.object}, ${merge.survivorId}::uuid, ${merge.survivorVersion}::int, ${merge.at}::timestamptz, ${merge.actor}, ${merge.reason}::text,
          ${JSON.stringify(merge.changed)}::jsonb, ${JSON.stringify(merge.moved)}::jsonb, ${JSON.stringify(merge.pointers)}::jsonb)`,
  );
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'record_merge_source')} (merge_id, source_id, version)
        select ${merge.id}::uuid, r.id, r.version from jsonb_to_recordset(${JSON.stringify(merge.sources)}::jsonb) as r(id uuid, version int)`,
  );
}

const selectMerges = (db: Knex, where: Sql, tail: Sql): Sql =>
  sql`select m.*, (select jsonb_agg(jsonb_build_object('id', s.source_id, 'version', s.version) order by s.source_id) from ${platformTable(db, 'record_merge_source')} s where s.merge_id = m.id) as sources
      from ${platformTable(db, 'record_merge')} m where ${where} ${tail}`;

/** The newest merge into a record that left it at this version and was not undone; locks it. */
export async function mergeAt(tx: Knex.Transaction, survivorId: string, version: number): Promise<MergeRow | null> {
  const where = sql`m.survivor_id = ${survivorId}::uuid and m.survivor_version = ${version}::int and m.undone_at is null`;
  const [row] = await rows(tx, selectMerges(tx, where, sql`order by m.at desc, m.id desc limit 1 for update of m`));
  return row === undefined ? null : toMerge(row);
}

/** A merge by its id; locks it. */
export async function mergeById(tx: Knex.Transaction, id: string): Promise<MergeRow | null> {
  const [row] = await rows(tx, selectMerges(tx, sql`m.id = ${id}::uuid`, sql`for update of m`));
  return row === undefined ? null : toMerge(row);
}

/** Merges into a record, the newest first, at most 100. */
export async function mergesInto(db: Knex, survivorId: string): Promise<readonly MergeRow[]> {
  const found = await rows(db, selectMerges(db, sql`m.survivor_id = ${survivorId}::uuid`, sql`order by m.at desc, m.id desc limit 100`));
  return found.map(toMerge);
}

/** Notes that a merge was undone, and the version that this left the record at. */
export async function markUndone(tx: Knex.Transaction, id: string, at: string, by: string, version: number): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'record_merge')} set undone_at = ${at}::timestamptz, undone_by = ${by}, undone_version = ${version}::int where id = ${id}::uuid`,
  );
}

/** True when undoing a merge is what left the record at this version. */
export async function wasPartedAt(db: Knex, survivorId: string, version: number): Promise<boolean> {
  const found = await rows(
    db,
    sql`select 1 as one from ${platformTable(db, 'record_merge')} where survivor_id = ${survivorId}::uuid and undone_version = ${version}::int and undone_version <> survivor_version limit 1`,
  );
  return found.length > 0;
}

/** The boundary for rows of record_merge: what is in the jsonb columns was written by `insertMerge`. */
function toMerge(row: Readonly<Record<string, unknown>>): MergeRow {
  return {
    id: String(row['id']),
    object: String(row['object']),
    survivorId: String(row['survivor_id']),
    survivorVersion: Number(row['survivor_version']),
    at: toRfc3339(String(row['at'])),
    actor: String(row['actor']),
    reason: typeof row['reason'] === 'string' ? row['reason'] : null,
    sources: row['sources'] as MergeRow['sources'],
    changed: row['changed'] as MergeRow['changed'],
    moved: row['moved'] as MergeRow['moved'],
    pointers: row['pointers'] as MergeRow['pointers'],
    undoneAt: typeof row['undone_at'] === 'string' ? toRfc3339(row['undone_at']) : null,
  };
}

interface Pointer {
  readonly name: string;
  readonly table: string;
  readonly key: string;
  readonly column: string;
  readonly objectColumn: string;
  /** Rows that may not be moved, for the record that stays has its own. */
  readonly keep?: (db: Knex, to: string) => Sql;
}

/** Rows of the platform's own that belong to a record: mail to and from it, and forms that were filled in for it. */
const POINTERS: readonly Pointer[] = [
  { name: 'mail sent', table: 'mail_delivery', key: 'id', column: 'about_id', objectColumn: 'about_object' },
  { name: 'mail of it', table: 'mail_delivery', key: 'id', column: 'group_id', objectColumn: 'group_object' },
  { name: 'mail received', table: 'inbound_mail', key: 'id', column: 'record_id', objectColumn: 'object' },
  { name: 'mail thread', table: 'inbound_mail', key: 'id', column: 'thread_id', objectColumn: 'thread_object' },
  {
    name: 'submission',
    table: 'submission',
    key: 'id',
    column: 'record_id',
    objectColumn: 'object',
    keep: (db, to) =>
      sql`p.state = 'draft' and exists (select 1 from ${platformTable(db, 'submission')} o where o.form = p.form and o.record_id = ${to}::uuid and o.state = 'draft')`,
  },
];

/** Moves the platform's own rows from one record to another, and answers which. */
export async function movePointers(tx: Knex.Transaction, object: string, from: string, to: string): Promise<readonly MovedPointers[]> {
  const moved: MovedPointers[] = [];
  for (const { name, table, key, column, objectColumn, keep } of POINTERS) {
    const except = keep === undefined ? sql`` : sql` and not (${keep(tx, to)})`;
    const found = await rows(
      tx,
      sql`update ${platformTable(tx, table)} as p set ${ident(column)} = ${to}::uuid where p.${ident(column)} = ${from}::uuid and p.${ident(objectColumn)} = ${object}${except}
          returning p.${ident(key)} as key`,
    );
    if (found.length > 0) moved.push({ pointer: name, from, keys: found.map((row) => String(row['key'])) });
  }
  return moved;
}

/** Moves the rows back, where they still point at the record that they were moved to. */
export async function movePointersBack(tx: Knex.Transaction, to: string, moved: readonly MovedPointers[]): Promise<void> {
  for (const { pointer, from, keys } of moved) {
    const known = POINTERS.find((entry) => entry.name === pointer);
    if (known === undefined) continue;
    const { table, key, column } = known;
    await run(
      tx,
      sql`update ${platformTable(tx, table)} as p set ${ident(column)} = ${from}::uuid where p.${ident(key)} = any(${[...keys]}::uuid[]) and p.${ident(column)} = ${to}::uuid`,
    );
  }
}
