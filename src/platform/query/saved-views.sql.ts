import type { Knex } from 'knex';
import { SQLSTATE, sqlState, toRfc3339 } from '../db.ts';
import { AppError } from '../errors.ts';
import { isUuid } from '../ids.ts';
import { platformTable, rows, run, sql } from '../sql.ts';

/** What a view shows; the same members as a view of the metadata. */
export interface ViewDefinition {
  readonly filter: string | null;
  readonly columns: readonly string[];
  readonly sort: string | null;
}

/** A view that somebody saved. */
export interface SavedView extends ViewDefinition {
  readonly id: string;
  readonly version: number;
  readonly object: string;
  readonly label: string;
  readonly ownerId: string;
  /** Also for others who may read the object. */
  readonly shared: boolean;
  readonly updatedAt: string;
}

const table = (db: Knex): ReturnType<typeof platformTable> => platformTable(db, 'saved_view');

/** Views of an object that a user saved, or that others share, by name. */
export async function savedViews(db: Knex, object: string, userId: string): Promise<readonly SavedView[]> {
  const found = await rows(db, sql`select * from ${table(db)} where object = ${object} and (owner_id = ${userId}::uuid or shared) order by name, id`);
  return found.map(toView);
}

/** A view of the user's own, or one that is shared; null when there is none. */
export async function savedView(db: Knex, id: string, userId: string): Promise<SavedView | null> {
  if (!isUuid(id)) return null;
  const [row] = await rows(db, sql`select * from ${table(db)} where id = ${id}::uuid and (owner_id = ${userId}::uuid or shared)`);
  return row === undefined ? null : toView(row);
}

/** @throws AppError conflict_unique when the owner has a view of this name */
export async function insertView(tx: Knex.Transaction, view: SavedView): Promise<void> {
  await named(() =>
    run(
      tx,
      sql`insert into ${table(tx)} (id, object, name, owner_id, shared, definition, created_at, updated_at)
          values (${view.id}::uuid, ${view.object}, ${view.label}, ${view.ownerId}::uuid, ${view.shared}, ${definitionOf(view)}::jsonb, ${view.updatedAt}::timestamptz, ${view.updatedAt}::timestamptz)`,
    ),
  );
}

/** Answers false when the version is no longer the current one. @throws AppError conflict_unique as above */
export async function updateView(tx: Knex.Transaction, view: SavedView): Promise<boolean> {
  const changed = await named(() =>
    run(
      tx,
      sql`update ${table(tx)} set name = ${view.label}, shared = ${view.shared}, definition = ${definitionOf(view)}::jsonb, updated_at = ${view.updatedAt}::timestamptz, version = version + 1
          where id = ${view.id}::uuid and version = ${view.version}::int`,
    ),
  );
  return changed === 1;
}

/** Answers false when the version is no longer the current one. */
export async function deleteView(tx: Knex.Transaction, id: string, version: number): Promise<boolean> {
  return (await run(tx, sql`delete from ${table(tx)} where id = ${id}::uuid and version = ${version}::int`)) === 1;
}

const definitionOf = ({ filter, columns, sort }: ViewDefinition): string => JSON.stringify({ filter, columns, sort });

async function named<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (sqlState(error) !== SQLSTATE.uniqueViolation) throw error;
    const detail = 'You have a view of this name already.';
    throw new AppError('conflict_unique', detail, { errors: [{ pointer: '/label', code: 'unique', detail, fix: 'Choose another name.' }], cause: error });
  }
}

/** The boundary for rows of saved_view. */
function toView(row: Readonly<Record<string, unknown>>): SavedView {
  return {
    id: String(row['id']),
    version: Number(row['version']),
    object: String(row['object']),
    label: String(row['name']),
    ownerId: String(row['owner_id']),
    shared: row['shared'] === true,
    updatedAt: toRfc3339(String(row['updated_at'])),
    ...(row['definition'] as ViewDefinition),
  };
}
