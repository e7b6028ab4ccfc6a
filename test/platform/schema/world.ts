import type { Knex } from 'knex';
import { systemClock, type Clock } from '../../../src/platform/clock.ts';
import { isAppError, type AppError } from '../../../src/platform/errors.ts';
import { sortKey } from '../../../src/platform/expression/sort-key.ts';
import { uuidV7 } from '../../../src/platform/ids.ts';
import type { FieldSchema, MetadataSet, ObjectFile } from '../../../src/platform/metadata/types.ts';
import { fieldType } from '../../../src/platform/model/field-types.ts';
import { wholeTable } from '../../../src/platform/model/read-table.sql.ts';
import { tableOfColumn } from '../../../src/platform/model/side-tables.ts';
import type { FieldModel } from '../../../src/platform/model/types.ts';
import { makeModelStore, type ModelStore } from '../../../src/platform/schema/store.ts';
import { ident, joinSql, keyword, rows, run, schemaOf, sql, type Sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';

/** A database of its own with a store, and ways to put records in and look at them without the record engine. */
export interface World {
  readonly database: TestDatabase;
  readonly store: ModelStore;
  insert(object: string, values: Readonly<Record<string, unknown>>): Promise<string>;
  /** Overwrites values of a record as a writer on the present version would. */
  update(object: string, id: string, values: Readonly<Record<string, unknown>>): Promise<void>;
  /** The values of a field by record, in the order of creation, in the API's form. */
  values(object: string, field: string): Promise<readonly unknown[]>;
  drop(): Promise<void>;
}

export async function makeWorld(options: { readonly clock?: Clock; readonly poolSize?: number } = {}): Promise<World> {
  const database = await makeTestDatabase(options.poolSize === undefined ? {} : { poolSize: options.poolSize });
  const { db } = database;
  let made = 0;
  const store = makeModelStore({ db, clock: options.clock ?? systemClock, extensions: {} });
  const find = async (object: string) => {
    const found = (await store.load()).objects.get(object);
    if (found === undefined) throw new Error(`There is no object ${object}.`);
    return { table: found.table, whole: wholeTable(schemaOf(db), found), fields: found.fields };
  };
  /** The cells by the table in which they stand. */
  const byTable = (table: string, all: readonly (readonly [string, Sql])[]) => {
    const tables = new Map<string, (readonly [string, Sql])[]>([[table, []]]);
    for (const cell of all) tables.set(tableOfColumn(table, cell[0]), [...(tables.get(tableOfColumn(table, cell[0])) ?? []), cell]);
    return [...tables].map(([name, cellsThere]) => ({ isOwn: name === table, on: ident(schemaOf(db), name), cells: cellsThere }));
  };
  const cellsOf = (fields: ReadonlyMap<string, FieldModel>, values: Readonly<Record<string, unknown>>): readonly (readonly [string, Sql])[] =>
    Object.entries(values).flatMap(([name, value]) => cells(fields, name, value));
  return {
    database,
    store,
    async insert(object, values) {
      const { table, fields } = await find(object);
      // Each a millisecond later, so that ids are in the order of creation.
      const id = uuidV7(systemClock.nowMs() + (made += 1));
      const now = systemClock.now();
      const system: readonly (readonly [string, Sql])[] = [
        ['id', sql`${id}::uuid`],
        ['created_at', sql`${now}::timestamptz`],
        ['created_by', sql`'test'`],
        ['updated_at', sql`${now}::timestamptz`],
        ['updated_by', sql`'test'`],
      ];
      for (const part of byTable(table, [...system, ...cellsOf(fields, values)])) {
        const all = part.isOwn ? part.cells : [['id', sql`${id}::uuid`] as const, ...part.cells];
        await run(db, sql`insert into ${part.on} (${joinSql(all.map(([column]) => ident(column)))}) values (${joinSql(all.map(([, value]) => value))})`);
      }
      return id;
    },
    async update(object, id, values) {
      const { table, fields } = await find(object);
      for (const part of byTable(table, cellsOf(fields, values))) {
        const set = joinSql(part.cells.map(([column, value]) => sql`${ident(column)} = ${value}`));
        if (part.cells.length > 0) await run(db, sql`update ${part.on} set ${set} where id = ${id}::uuid`);
      }
    },
    async values(object, name) {
      const { whole, fields } = await find(object);
      const field = fields.get(name);
      if (field?.column === undefined || field.column === null) throw new Error(`${object}.${name} is not stored.`);
      const other = field.objectColumn === null ? keyword('null') : ident(field.objectColumn);
      const found = await rows(db, sql`select ${ident(field.column)} as value, ${other} as object from ${whole} order by id`);
      return found.map((row) => {
        const value = fieldType(field).format(row['value']);
        return field.objectColumn === null || value === null ? value : { object: row['object'], id: value };
      });
    },
    drop: () => database.drop(),
  };
}

function cells(fields: ReadonlyMap<string, FieldModel>, name: string, value: unknown): readonly (readonly [string, Sql])[] {
  const field = fields.get(name);
  if (field === undefined || field.column === null) throw new Error(`There is no stored field ${name}.`);
  const type = fieldType(field);
  const cast = keyword(type.column?.cast ?? 'text');
  const isTarget = typeof value === 'object' && value !== null && 'object' in value && 'id' in value;
  const own = isTarget ? value.id : type.bind(value);
  return [
    [field.column, sql`${own}::${cast}`],
    ...(field.sortColumn === null ? [] : [[field.sortColumn, sql`${typeof value === 'string' ? sortKey(value) : null}::text`] as const]),
    ...(field.objectColumn === null ? [] : [[field.objectColumn, sql`${isTarget ? value.object : null}::text`] as const]),
  ];
}

/** The refusal that something ends in. */
export async function refusal(work: Promise<unknown>): Promise<AppError> {
  try {
    await work;
  } catch (error) {
    if (isAppError(error)) return error;
    throw error;
  }
  throw new Error('It was not refused.');
}

/** A set with one object changed. */
export function changed(set: MetadataSet, object: string, change: (file: ObjectFile) => ObjectFile): MetadataSet {
  const file = set.objects.get(object);
  if (file === undefined) throw new Error(`There is no object ${object}.`);
  return { ...set, objects: new Map([...set.objects].map(([name, entry]) => [name, name === object ? change(file) : entry])) };
}

/** A set with a field added or replaced; a replaced one keeps its place. */
export function withField(set: MetadataSet, object: string, name: string, field: FieldSchema): MetadataSet {
  return changed(set, object, (file) => ({ ...file, properties: { ...file.properties, [name]: field } }));
}

/** A set without a field. */
export function withoutField(set: MetadataSet, object: string, name: string): MetadataSet {
  return changed(set, object, (file) => ({ ...file, properties: Object.fromEntries(Object.entries(file.properties).filter(([entry]) => entry !== name)) }));
}

/** A set with a field under another name. */
export function renamedField(set: MetadataSet, object: string, from: string, to: string): MetadataSet {
  const word = (name: string): string => (name === from ? to : name);
  return changed(set, object, (file) => ({
    ...file,
    'x-object': { ...file['x-object'], name: file['x-object'].name.replaceAll(`{${from}}`, `{${to}}`) },
    ...(file.required === undefined ? {} : { required: file.required.map(word) }),
    ...(file['x-unique'] === undefined ? {} : { 'x-unique': file['x-unique'].map((list) => list.map(word)) }),
    properties: Object.fromEntries(Object.entries(file.properties).map(([name, field]) => [word(name), field])),
  }));
}

/** Triggers of changes that are over, which should be none; those that keep the lines of approvals are for good. */
export async function triggersLeft(db: Knex): Promise<readonly string[]> {
  const found = await rows(db, sql`select tgname from pg_trigger where not tgisinternal and tgname not in ('policy_approval_kept', 'policy_review_kept')`);
  return found.map((row) => String(row['tgname']));
}
