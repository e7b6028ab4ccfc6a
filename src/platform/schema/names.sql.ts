import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import type { KeptColumn, PhysicalName, PhysicalNames, StoredAs } from '../model/physical.ts';
import { tableOfColumn } from '../model/side-tables.ts';
import { platformTable, rows, run, sql } from '../sql.ts';
import type { Forgotten, Remembered } from './types.ts';
import { readFills } from './fill-state.sql.ts';

/** The physical names given so far, by id: those of hidden things among them. */
export async function readPhysicalNames(db: Knex): Promise<PhysicalNames> {
  const found = await rows(
    db,
    sql`select id, kind, object_id, name, physical, sort_physical, shape, value_kind, hidden_at, next from ${platformTable(db, 'physical_name')}`,
  );
  return new Map(
    found.map((row): [string, PhysicalName] => [
      String(row['id']),
      {
        id: String(row['id']),
        kind: row['kind'] === 'object' ? 'object' : 'field',
        objectId: optional(row['object_id']),
        name: String(row['name']),
        ...storedIn(row),
        hiddenAt: instant(row['hidden_at']),
        next: storedJson(row['next']),
      },
    ]),
  );
}

/** Boundary: names as a version of the metadata keeps them; null for a version that kept none. */
export function namesFromJson(content: unknown): PhysicalNames | null {
  if (!Array.isArray(content)) return null;
  return new Map(
    content.flatMap((entry: unknown): [string, PhysicalName][] => {
      const row = asRecord(entry);
      const id = optional(row['id']);
      const stored = storedJson(row);
      if (id === null || stored === null) return [];
      const kind = row['kind'] === 'object' ? 'object' : 'field';
      return [[id, { id, kind, objectId: optional(row['objectId']), name: String(row['name']), ...stored, hiddenAt: null, next: null }]];
    }),
  );
}

/** Everything that the database remembers of names, columns that were left, and values being carried over. */
export async function readRemembered(db: Knex): Promise<Remembered> {
  return { names: await readPhysicalNames(db), kept: await readKept(db), fills: await readFills(db) };
}

/** The tables of all objects that the database remembers, side tables among them. */
export function rememberedTables({ names, kept }: Remembered): readonly string[] {
  const own = [...names.values()];
  const stored = [...own, ...own.flatMap((name) => (name.next === null ? [] : [{ ...name.next, objectId: name.objectId }])), ...kept];
  return [
    ...new Set([
      ...own.flatMap((name) => (name.kind === 'object' ? [name.physical] : [])),
      ...stored.flatMap(({ objectId, physical }) => {
        const table = names.get(objectId ?? '')?.physical;
        return table === undefined ? [] : [tableOfColumn(table, physical)];
      }),
    ]),
  ];
}

async function readKept(db: Knex): Promise<readonly KeptColumn[]> {
  const found = await rows(
    db,
    sql`select object_id, field_id, name, physical, sort_physical, shape, value_kind, kept_at from ${platformTable(db, 'kept_column')} order by kept_at desc, physical`,
  );
  return found.map((row) => ({
    objectId: String(row['object_id']),
    fieldId: String(row['field_id']),
    name: String(row['name']),
    ...storedIn(row),
    keptAt: instant(row['kept_at']) ?? '',
  }));
}

/** Records physical names as they are from now on: present ones are shown. Writes. */
export async function writePhysicalNames(tx: Knex.Transaction, names: readonly PhysicalName[]): Promise<void> {
  if (names.length === 0) return;
  const content = names.map((entry) => ({
    id: entry.id,
    kind: entry.kind,
    object_id: entry.objectId,
    name: entry.name,
    physical: entry.physical,
    sort_physical: entry.sortPhysical,
    shape: entry.shape,
    value_kind: entry.valueKind,
    hidden_at: entry.hiddenAt,
    next: entry.next,
  }));
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'physical_name')} (id, kind, object_id, name, physical, sort_physical, shape, value_kind, hidden_at, next)
        select id, kind, object_id, name, physical, sort_physical, shape, value_kind, hidden_at, next from jsonb_to_recordset(${JSON.stringify(content)}::jsonb)
          as n (id text, kind text, object_id text, name text, physical text, sort_physical text, shape text, value_kind text, hidden_at timestamptz(3), next jsonb)
        on conflict (id) do update set name = excluded.name, physical = excluded.physical, sort_physical = excluded.sort_physical, shape = excluded.shape,
          value_kind = excluded.value_kind, hidden_at = excluded.hidden_at, next = excluded.next`,
  );
}

/** Remembers columns that a change of type leaves, and forgets those that are taken up again. Writes. */
export async function writeKept(tx: Knex.Transaction, left: readonly KeptColumn[], takenUp: readonly string[]): Promise<void> {
  const table = platformTable(tx, 'kept_column');
  if (takenUp.length > 0) await run(tx, sql`delete from ${table} where field_id || ' ' || physical = any(${takenUp}::text[])`);
  for (const entry of left) {
    await run(
      tx,
      sql`insert into ${table} (object_id, field_id, name, physical, sort_physical, shape, value_kind, kept_at)
          values (${entry.objectId}, ${entry.fieldId}, ${entry.name}, ${entry.physical}, ${entry.sortPhysical}, ${entry.shape}, ${entry.valueKind}, ${entry.keptAt}::timestamptz)
          on conflict (object_id, physical) do nothing`,
    );
  }
}

/** Forgets what is gone for ever. Writes. */
export async function forget(tx: Knex.Transaction, gone: readonly Forgotten[]): Promise<void> {
  for (const entry of gone) {
    if (entry.kind === 'column')
      await run(tx, sql`delete from ${platformTable(tx, 'kept_column')} where object_id = ${entry.objectId} and physical = ${entry.physical}`);
    else {
      await run(tx, sql`delete from ${platformTable(tx, 'kept_column')} where object_id = ${entry.id}`);
      await run(tx, sql`delete from ${platformTable(tx, 'physical_name')} where id = ${entry.id} or object_id = ${entry.id}`);
    }
  }
}

/** Boundary: where a field's values stand, as JSON. */
export function storedJson(value: unknown): StoredAs | null {
  const row = asRecord(value);
  const physical = optional(row['physical']);
  if (physical === null) return null;
  return { physical, sortPhysical: optional(row['sortPhysical']), shape: optional(row['shape']), valueKind: optional(row['valueKind']) };
}

function storedIn(row: Readonly<Record<string, unknown>>): StoredAs {
  return {
    physical: String(row['physical']),
    sortPhysical: optional(row['sort_physical']),
    shape: optional(row['shape']),
    valueKind: optional(row['value_kind']),
  };
}

/** A boundary: a value of unknown kind as a record; what is none has no members. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : {};
}

function optional(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function instant(value: unknown): string | null {
  return typeof value === 'string' ? toRfc3339(value) : null;
}
